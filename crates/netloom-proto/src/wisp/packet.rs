//! Packets: type, stream and payload (Wisp 1.2, "Packet format").

use super::{Kind, Reason};

/// Type and stream before every payload.
pub const HEADER_BYTES: usize = 5;

const CONNECT: u8 = 0x01;
const DATA: u8 = 0x02;
const CONTINUE: u8 = 0x03;
const CLOSE: u8 = 0x04;
const INFO: u8 = 0x05;
/// Of [`super::extension::HALF_CLOSE`].
const FIN: u8 = 0xe1;

/// A packet; its stream stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client opens a stream.
    Connect {
        /// What it carries.
        kind: Kind,
        /// The target's port.
        port: u16,
        /// The target's name or address.
        host: &'a str,
    },
    /// A piece of a TCP stream, or one datagram.
    Data(&'a [u8]),
    /// How many DATA packets the other end may send on the stream from now on.
    Continue(u32),
    /// The stream is over.
    Close(Reason),
    /// Version and extensions: what follows the header, for [`super::ServerInfo`] or [`super::ClientInfo`].
    Info(&'a [u8]),
    /// No more DATA follows in this direction.
    Fin,
}

/// Why a message is no packet. It is to be ignored, as other servers and clients do, or to be answered by CLOSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than a header, or than its type's payload. The stream, if it is told.
    #[error("a packet is cut short")]
    Short(Option<u32>),
    /// A type that neither version defines.
    #[error("an unknown type of packet")]
    Type(u32),
    /// CONNECT of a kind that is not TCP or UDP.
    #[error("an unknown kind of stream")]
    Kind(u32),
    /// CONNECT to a name that is empty or not UTF-8.
    #[error("a host that is not text")]
    Host(u32),
}

impl<'a> Packet<'a> {
    /// The stream and the packet that a message holds.
    ///
    /// # Errors
    /// [`PacketError`] if it holds none.
    pub fn parse(message: &'a [u8]) -> Result<(u32, Self), PacketError> {
        let Some((&[kind, a, b, c, d], payload)) = message.split_first_chunk::<HEADER_BYTES>() else {
            return Err(PacketError::Short(None));
        };
        let stream = u32::from_le_bytes([a, b, c, d]);
        let short = PacketError::Short(Some(stream));
        let packet = match kind {
            CONNECT => {
                let (&[kind, low, high], host) = payload.split_first_chunk::<3>().ok_or(short)?;
                let kind = match kind {
                    1 => Kind::Tcp,
                    2 => Kind::Udp,
                    _ => return Err(PacketError::Kind(stream)),
                };
                let host = core::str::from_utf8(host).ok().filter(|host| !host.is_empty());
                let host = host.ok_or(PacketError::Host(stream))?;
                Self::Connect { kind, port: u16::from_le_bytes([low, high]), host }
            }
            DATA => Self::Data(payload),
            CONTINUE => Self::Continue(u32::from_le_bytes(*payload.first_chunk().ok_or(short)?)),
            // Some close without a reason.
            CLOSE => Self::Close(payload.first().map_or(Reason::UNKNOWN, |reason| Reason(*reason))),
            INFO => Self::Info(payload),
            FIN => Self::Fin,
            _ => return Err(PacketError::Type(stream)),
        };
        Ok((stream, packet))
    }

    /// Appends the packet to `out`.
    pub fn put(&self, out: &mut Vec<u8>, stream: u32) {
        match *self {
            Self::Connect { kind, port, host } => {
                put_header(out, CONNECT, stream);
                out.push(kind as u8);
                out.extend_from_slice(&port.to_le_bytes());
                out.extend_from_slice(host.as_bytes());
            }
            Self::Data(bytes) => put_data(out, stream, [bytes, &[]]),
            Self::Continue(packets) => {
                put_header(out, CONTINUE, stream);
                out.extend_from_slice(&packets.to_le_bytes());
            }
            Self::Close(reason) => {
                put_header(out, CLOSE, stream);
                out.push(reason.0);
            }
            Self::Info(rest) => {
                put_header(out, INFO, stream);
                out.extend_from_slice(rest);
            }
            Self::Fin => put_header(out, FIN, stream),
        }
    }
}

/// The header of a DATA packet.
#[must_use]
pub const fn data_header(stream: u32) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = stream.to_le_bytes();
    [DATA, a, b, c, d]
}

/// Appends a DATA packet whose payload lies in two parts of a ring.
pub fn put_data(out: &mut Vec<u8>, stream: u32, parts: [&[u8]; 2]) {
    put_header(out, DATA, stream);
    out.extend_from_slice(parts[0]);
    out.extend_from_slice(parts[1]);
}

fn put_header(out: &mut Vec<u8>, kind: u8, stream: u32) {
    out.push(kind);
    out.extend_from_slice(&stream.to_le_bytes());
}
