//! A WebSocket as a server has it, for the bare programs that the relay is compared with: no routes, no keepalive, no control frames.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, ensure};
use netloom_interop::splice::End;
use netloom_proto::websocket::{Decoder, Message, Opcode, Role, accept_key, put_frame};

const READ_BYTES: usize = 256 * 1024;
const MAX_FRAME_BYTES: usize = 65_549;

/// A client's connection. It does not block.
pub(super) struct Socket {
    stream: TcpStream,
    decoder: Decoder,
    buffer: Box<[u8]>,
    /// What the client's socket has not taken.
    out: Vec<u8>,
}

impl Socket {
    /// Waits for a client and answers its upgrade.
    pub(super) fn accept(listener: &TcpListener) -> Result<Self> {
        let (mut stream, _) = listener.accept()?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes)?;
            ensure!(read > 0, "the request was cut short");
            request.extend_from_slice(&bytes[..read]);
        }
        let request = String::from_utf8(request)?;
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = accept_key(key.context("no key")?);
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            decoder: Decoder::new(Role::Server, MAX_FRAME_BYTES),
            buffer: vec![0; READ_BYTES].into(),
            out: Vec::new(),
        })
    }

    /// Waits until the client ends its connection too, so that it is not cut off.
    pub(super) fn leave(mut self) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        io::copy(&mut self.stream, &mut io::sink())?;
        Ok(())
    }
}

impl End for Socket {
    fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let read = match self.stream.read(&mut self.buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let decoded = self.decoder.decode(&mut self.buffer[..read], |message| {
            if let Message::Binary(frame) = message {
                each(frame);
            }
        });
        decoded.map_err(io::Error::other)
    }

    fn send(&mut self, frame: &[u8]) {
        put_frame(&mut self.out, Opcode::Binary, frame, None);
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.write(&self.out[written..]) {
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..written);
        Ok(())
    }

    fn backlog_bytes(&self) -> usize {
        self.out.len()
    }
}
