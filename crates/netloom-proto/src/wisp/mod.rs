//! Wisp: TCP and UDP streams over one WebSocket (version 1.2, and draft 6 of version 2). Owns no socket: messages in, events and messages out.
//!
//! One packet is one binary message: type, stream, payload, little-endian. A client opens streams and names them; stream 0 is the connection.
//! What a client sends on a TCP stream is bounded by a credit in packets, which the server sets anew with CONTINUE; UDP has none. Version 2 begins
//! with INFO from both ends, of which the extensions that both name are used.
//!
//! Two extensions are ours and take effect only between ends that both name them: [`extension::HALF_CLOSE`] ends one direction of a TCP
//! stream with a packet FIN, and [`extension::STREAM_CREDIT`] bounds what a server sends on one TCP stream: by CONTINUE a client tells
//! up to which byte of the stream, counted from its beginning modulo 2³², the server may send.

pub mod client;
pub mod info;
pub mod packet;
pub mod server;
#[cfg(test)]
mod tests;

use core::fmt;

pub use client::Client;
pub use info::{ClientInfo, KeyAnswer, KeyChallenge, Password, ServerInfo};
pub use packet::{HEADER_BYTES, Packet, PacketError};
pub use server::Server;

/// Numbers of the extensions of version 2.
pub mod extension {
    /// Streams of datagrams.
    pub const UDP: u8 = 0x01;
    /// Authentication by name and password.
    pub const PASSWORD: u8 = 0x02;
    /// Authentication by signature.
    pub const KEY: u8 = 0x03;
    /// A text of the server's to its users.
    pub const MOTD: u8 = 0x04;
    /// The server says by CONTINUE when a TCP stream's target has answered.
    pub const STREAM_OPEN_CONFIRMATION: u8 = 0x05;
    /// Ours: a packet FIN ends one direction of a TCP stream and leaves the other.
    pub const HALF_CLOSE: u8 = 0xe1;
    /// Ours: a client bounds by CONTINUE how many bytes a server may send on a TCP stream. Metadata of the client: how many at first, `u32`.
    pub const STREAM_CREDIT: u8 = 0xe2;
}

/// The subprotocol that a client offers to ask for version 2.
pub const SUBPROTOCOL: &str = "wisp-v2";

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A TCP connection.
    Tcp = 1,
    /// The datagrams of one UDP socket to one target.
    Udp = 2,
}

/// Why a stream or the connection is closed, as CLOSE tells it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub u8);

impl Reason {
    /// None that is known.
    pub const UNKNOWN: Self = Self(0x01);
    /// One end is done.
    pub const VOLUNTARY: Self = Self(0x02);
    /// The network failed.
    pub const NETWORK: Self = Self(0x03);
    /// The extensions of both ends do not fit.
    pub const INCOMPATIBLE: Self = Self(0x04);
    /// CONNECT makes no sense.
    pub const INVALID: Self = Self(0x41);
    /// The target cannot be reached, or its name has no address.
    pub const UNREACHABLE: Self = Self(0x42);
    /// The target did not answer.
    pub const TIMEOUT: Self = Self(0x43);
    /// The target refused.
    pub const REFUSED: Self = Self(0x44);
    /// Nothing moved for too long.
    pub const IDLE: Self = Self(0x47);
    /// The server's policy forbids it.
    pub const BLOCKED: Self = Self(0x48);
    /// Too much at once.
    pub const THROTTLED: Self = Self(0x49);
    /// The client failed.
    pub const CLIENT: Self = Self(0x81);
    /// Wrong name or password.
    pub const BAD_PASSWORD: Self = Self(0xc0);
    /// Wrong signature.
    pub const BAD_SIGNATURE: Self = Self(0xc1);
    /// Authentication is required and none was given.
    pub const AUTHENTICATION_REQUIRED: Self = Self(0xc2);

    /// What it says, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::VOLUNTARY => "closed",
            Self::NETWORK => "the network failed",
            Self::INCOMPATIBLE => "the extensions of both ends do not fit",
            Self::INVALID => "the request is invalid",
            Self::UNREACHABLE => "the target cannot be reached",
            Self::TIMEOUT => "the target did not answer",
            Self::REFUSED => "the target refused",
            Self::IDLE => "nothing moved for too long",
            Self::BLOCKED => "blocked by the server's policy",
            Self::THROTTLED => "too much at once",
            Self::CLIENT => "the client failed",
            Self::BAD_PASSWORD => "wrong name or password",
            Self::BAD_SIGNATURE => "wrong signature",
            Self::AUTHENTICATION_REQUIRED => "authentication is required",
            _ => "unknown",
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} ({})", self.0, self.text())
    }
}
