//! Echo requests by the kernel's unprivileged ICMP sockets (Linux: `net.ipv4.ping_group_range`, for IPv6 too), one per flow. The kernel
//! chooses the identifier and computes checksums; the machine restores the guest's identifier. RFC 792, RFC 4443 section 4.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use netloom_core::FlowId;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::warn;

use super::Quota;
use super::udp::{Datagrams, Kind};
use crate::lan::LanTask;

const HEADER_BYTES: usize = 8;

/// The message types of one family's echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Echo {
    request: u8,
    reply: u8,
}

const ICMP: Echo = Echo { request: 8, reply: 0 };
const ICMPV6: Echo = Echo { request: 128, reply: 129 };

/// Whether it was said that the kernel forbids ping.
#[derive(Debug, Default)]
pub(crate) struct Complaint(Cell<bool>);

/// Opens a socket for a ping flow. Where the kernel forbids it, guests hear nothing, as if the target were silent.
pub(super) fn open(
    lan: &Rc<LanTask>,
    id: FlowId,
    target: SocketAddr,
    quota: Quota,
) -> io::Result<Rc<Datagrams>> {
    let (protocol, echo) =
        if target.is_ipv4() { (Protocol::ICMPV4, ICMP) } else { (Protocol::ICMPV6, ICMPV6) };
    let socket = Socket::new(Domain::for_address(target), Type::DGRAM, Some(protocol)).map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied && !lan.ping_complaint.0.replace(true) {
            warn!(
                "the kernel forbids ping: permit it with sysctl -w net.ipv4.ping_group_range='0 2147483647'"
            );
        }
        io::Error::new(io::ErrorKind::TimedOut, error)
    })?;
    socket.connect(&SocketAddr::new(target.ip(), 0).into())?;
    socket.set_nonblocking(true)?;
    Datagrams::start(lan, id, Kind::Ping(echo), socket.into(), quota)
}

impl Echo {
    /// The ICMP message for a datagram of a ping flow: sequence number and payload.
    pub(super) fn request(self, datagram: &[u8]) -> Option<Vec<u8>> {
        let (sequence, payload) = datagram.split_first_chunk::<2>()?;
        let mut message = vec![self.request, 0, 0, 0, 0, 0];
        message.extend_from_slice(sequence);
        message.extend_from_slice(payload);
        Some(message)
    }

    /// The datagram for an ICMP message, if it is an echo reply.
    pub(super) fn reply(self, message: &[u8]) -> Option<&[u8]> {
        (message.len() >= HEADER_BYTES && message[0] == self.reply).then(|| &message[HEADER_BYTES - 2..])
    }
}
