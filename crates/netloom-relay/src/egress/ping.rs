//! Echo requests by the kernel's unprivileged ICMP sockets (Linux: `net.ipv4.ping_group_range`), one per flow. The kernel chooses the
//! identifier and computes checksums; the machine restores the guest's identifier.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use netloom_core::FlowId;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::warn;

use super::udp::{Datagrams, Kind};
use crate::lan::LanTask;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const HEADER_BYTES: usize = 8;

/// Whether it was said that the kernel forbids ping.
#[derive(Debug, Default)]
pub(crate) struct Complaint(Cell<bool>);

/// Opens a socket for a ping flow. Where the kernel forbids it, guests hear nothing, as if the target were silent.
pub(super) fn open(lan: &Rc<LanTask>, id: FlowId, target: SocketAddr) -> io::Result<Rc<Datagrams>> {
    let socket = Socket::new(Domain::for_address(target), Type::DGRAM, Some(Protocol::ICMPV4)).map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied && !lan.ping_complaint.0.replace(true) {
            warn!("the kernel forbids ping: permit it with sysctl -w net.ipv4.ping_group_range='0 2147483647'");
        }
        io::Error::new(io::ErrorKind::TimedOut, error)
    })?;
    socket.connect(&SocketAddr::new(target.ip(), 0).into())?;
    Datagrams::start(lan, id, Kind::Ping, socket.into())
}

/// The ICMP message for a datagram of a ping flow: sequence number and payload.
pub(super) fn request(datagram: &[u8]) -> Option<Vec<u8>> {
    let (sequence, payload) = datagram.split_first_chunk::<2>()?;
    let mut message = vec![ECHO_REQUEST, 0, 0, 0, 0, 0];
    message.extend_from_slice(sequence);
    message.extend_from_slice(payload);
    Some(message)
}

/// The datagram for an ICMP message, if it is an echo reply.
pub(super) fn reply(message: &[u8]) -> Option<&[u8]> {
    (message.len() >= HEADER_BYTES && message[0] == ECHO_REPLY).then(|| &message[HEADER_BYTES - 2..])
}
