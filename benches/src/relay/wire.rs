//! A load generator's end of a WebSocket: batches of ready-made masked frames out, headers counted in.
//!
//! RFC 6455 section 5.2. Nothing is done per byte, so that the generator is not what is measured.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use netloom_interop::frame::{Mac, ethernet};
use netloom_interop::namespace::Namespace;
use netloom_interop::websocket::{Handshake, Opcode, ask, encode, take_head};

/// How long an answer may take before the run is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// An ethertype for experiments (IEEE 802).
const EXPERIMENTAL: u16 = 0x88b5;
const READ_BYTES: usize = 256 * 1024;

/// A client's connection.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    buffer: Box<[u8]>,
    count: Count,
}

impl Wire {
    /// Connects from inside `namespace` and upgrades. Reads and writes block.
    pub(super) fn connect(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let mut stream = namespace.connect(address, PATIENCE)??;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let answer = ask(&mut stream, &Handshake::to("/"))?;
        ensure!(answer.status == 101, "the upgrade was refused: {}", answer.head);
        let mut count = Count::default();
        count.feed(&answer.rest);
        Ok(Self { stream, buffer: vec![0; READ_BYTES].into(), count })
    }

    /// Reads once; gives the number of frames that came to their end.
    pub(super) fn read(&mut self) -> io::Result<u64> {
        match self.stream.read(&mut self.buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => Ok(self.count.feed(&self.buffer[..length])),
        }
    }

    /// Sends one message and waits until `to` has received it.
    pub(super) fn pass(&mut self, message: &[u8], to: &mut Self) -> io::Result<()> {
        self.stream.write_all(message)?;
        to.hear()
    }

    /// Waits for a frame.
    pub(super) fn hear(&mut self) -> io::Result<()> {
        while self.read()? == 0 {}
        Ok(())
    }
}

/// A frame of `length` bytes as a masked message, `count` times.
pub(super) fn messages(to: Mac, from: Mac, length: usize, count: usize) -> Vec<u8> {
    let frame = ethernet(to, from, EXPERIMENTAL, &vec![0x5a; length.saturating_sub(14)]);
    let mut out = Vec::new();
    for mask in 1..=count as u32 {
        encode(&mut out, true, Opcode::Binary, mask.wrapping_mul(0x9e37_79b9), &frame);
    }
    out
}

/// Counts binary messages in bytes that are cut anywhere.
#[derive(Default)]
struct Count {
    header: Vec<u8>,
    /// Payload bytes of the present message that are still to come, once its header is whole.
    left: Option<u64>,
}

impl Count {
    fn feed(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0;
        loop {
            let left = match self.left {
                Some(left) => left,
                None => match take_head(&mut self.header, &mut bytes) {
                    Some(left) => left,
                    None => return messages,
                },
            };
            let now = left.min(bytes.len() as u64);
            bytes = &bytes[now as usize..];
            if now < left {
                self.left = Some(left - now);
                return messages;
            }
            // Pings and pongs are not what is counted.
            messages += u64::from(self.header[0] & 0x0f == Opcode::Binary as u8);
            self.header.clear();
            self.left = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        for length in [0, 125, 126, 1514, 65_549] {
            netloom_proto::websocket::put_frame(
                &mut bytes,
                netloom_proto::websocket::Opcode::Binary,
                &vec![0; length],
                None,
            );
            netloom_proto::websocket::put_frame(
                &mut bytes,
                netloom_proto::websocket::Opcode::Ping,
                &[],
                None,
            );
        }
        for piece in [1, 2, 3, 5, 1000, bytes.len()] {
            let mut count = Count::default();
            let counted: u64 = bytes.chunks(piece).map(|piece| count.feed(piece)).sum();
            assert_eq!(counted, 5, "in pieces of {piece}");
        }
    }
}
