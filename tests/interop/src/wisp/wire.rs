//! Wisp packets in WebSocket messages (RFC 6455 section 5.2), however a server cuts its bytes: headers are read, payload is passed on.

use crate::websocket::{Opcode, encode, take_head};

/// Opens a stream.
pub const CONNECT: u8 = 1;
/// Bytes of a stream.
pub const DATA: u8 = 2;
/// Sets the client's credit.
pub const CONTINUE: u8 = 3;
/// Ends a stream.
pub const CLOSE: u8 = 4;
/// Type and stream.
const PACKET_HEADER_BYTES: usize = 5;
/// Of a control frame (RFC 6455 section 5.5).
const MAX_CONTROL_BYTES: usize = 125;

/// What has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A part of a DATA packet's payload.
    Data(u32, &'a [u8]),
    /// A stream's credit, or of stream 0 that of new streams.
    Continue(u32, u32),
    /// The end of a stream, with its reason.
    Close(u32, u8),
    /// A ping that wants its payload back.
    Ping(&'a [u8]),
    /// The end of the WebSocket.
    End,
}

/// Reads what a server sends.
#[derive(Debug, Default)]
pub struct Incoming {
    head: Vec<u8>,
    /// Payload bytes of the present frame that are still to come, once its header is whole.
    left: Option<u64>,
    /// The present packet up to its payload; of those without data the first bytes of that too.
    packet: Vec<u8>,
    control: Vec<u8>,
}

impl Incoming {
    /// Takes in bytes and hands out what they say.
    pub fn feed(&mut self, mut bytes: &[u8], each: &mut impl FnMut(Event<'_>)) {
        loop {
            let left = match self.left {
                Some(left) => left,
                None => match take_head(&mut self.head, &mut bytes) {
                    Some(left) => left,
                    None => return,
                },
            };
            let now = left.min(bytes.len() as u64);
            let (part, rest) = bytes.split_at(now as usize);
            bytes = rest;
            if self.head[0] & 0x08 == 0 {
                self.payload(part, each);
            } else {
                let room = MAX_CONTROL_BYTES - self.control.len();
                self.control.extend_from_slice(&part[..part.len().min(room)]);
            }
            if now < left {
                self.left = Some(left - now);
                return;
            }
            self.left = None;
            self.frame_ends(each);
            self.head.clear();
        }
    }

    fn payload(&mut self, mut part: &[u8], each: &mut impl FnMut(Event<'_>)) {
        let missing = PACKET_HEADER_BYTES.saturating_sub(self.packet.len()).min(part.len());
        self.packet.extend_from_slice(&part[..missing]);
        part = &part[missing..];
        match (self.packet.first(), self.stream()) {
            (Some(&DATA), Some(stream)) if !part.is_empty() => each(Event::Data(stream, part)),
            (Some(&CONTINUE | &CLOSE), Some(_)) => {
                let room = (PACKET_HEADER_BYTES + 4).saturating_sub(self.packet.len());
                self.packet.extend_from_slice(&part[..part.len().min(room)]);
            }
            _ => {}
        }
    }

    fn stream(&self) -> Option<u32> {
        self.packet.get(1..)?.first_chunk().map(|id| u32::from_le_bytes(*id))
    }

    fn frame_ends(&mut self, each: &mut impl FnMut(Event<'_>)) {
        match self.head[0] & 0x0f {
            opcode if opcode == Opcode::Ping as u8 => each(Event::Ping(&self.control)),
            opcode if opcode == Opcode::Close as u8 => each(Event::End),
            _ if self.head[0] & 0x80 != 0 => {
                if let Some(stream) = self.stream() {
                    let rest = &self.packet[PACKET_HEADER_BYTES..];
                    match (self.packet[0], rest.first_chunk()) {
                        (CONTINUE, Some(credit)) => {
                            each(Event::Continue(stream, u32::from_le_bytes(*credit)));
                        }
                        (CLOSE, _) => each(Event::Close(stream, rest.first().copied().unwrap_or_default())),
                        _ => {}
                    }
                }
                self.packet.clear();
            }
            _ => {}
        }
        self.control.clear();
    }
}

/// Appends a packet as one masked message.
pub fn put(out: &mut Vec<u8>, mask: u32, kind: u8, stream: u32, payload: &[u8]) {
    let mut packet = Vec::with_capacity(PACKET_HEADER_BYTES + payload.len());
    packet.push(kind);
    packet.extend_from_slice(&stream.to_le_bytes());
    packet.extend_from_slice(payload);
    encode(out, true, Opcode::Binary, mask, &packet);
}

/// The payload of a CONNECT for TCP.
#[must_use]
pub fn connect(port: u16, host: &str) -> Vec<u8> {
    let mut payload = vec![1];
    payload.extend_from_slice(&port.to_le_bytes());
    payload.extend_from_slice(host.as_bytes());
    payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use netloom_proto::websocket::{Opcode as Sent, put_frame};
    use netloom_proto::wisp::{Packet, Reason};

    #[test]
    fn packets_are_read_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        let mut send = |stream: u32, packet: Packet<'_>| {
            let mut message = Vec::new();
            packet.put(&mut message, stream);
            put_frame(&mut bytes, Sent::Binary, &message, None);
            put_frame(&mut bytes, Sent::Ping, b"still there?", None);
        };
        send(0, Packet::Continue(128));
        send(7, Packet::Data(&[9; 70_000]));
        send(7, Packet::Data(&[]));
        send(1 << 31, Packet::Close(Reason::REFUSED));
        // A message in two frames, the first of which is a packet's header alone.
        bytes.extend_from_slice(&[0x02, 5, DATA, 8, 0, 0, 0, 0x80, 3, 1, 2, 3]);
        for piece in [1, 2, 3, 5, 1000, bytes.len()] {
            let (mut incoming, mut seen, mut data, mut pings) = (Incoming::default(), Vec::new(), [0, 0], 0);
            for piece in bytes.chunks(piece) {
                incoming.feed(piece, &mut |event| match event {
                    Event::Data(stream, part) => data[stream as usize - 7] += part.len(),
                    Event::Continue(stream, credit) => seen.push((stream, credit)),
                    Event::Close(stream, reason) => seen.push((stream, u32::from(reason))),
                    Event::Ping(payload) => pings += usize::from(payload == b"still there?"),
                    Event::End => panic!("nobody closed"),
                });
            }
            assert_eq!((data, pings), ([70_000, 3], 4), "in pieces of {piece}");
            assert_eq!(seen, [(0, 128), (1 << 31, 0x44)], "in pieces of {piece}");
        }
    }
}
