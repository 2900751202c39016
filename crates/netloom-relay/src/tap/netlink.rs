//! What of an interface takes netlink: its addresses, and that it is a port of a bridge (rtnetlink(7)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use netloom_core::IpNet;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const IFLA_MASTER: u16 = 10;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
/// Length of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

/// The index of an interface in the calling thread's namespace, if there is one of this name.
pub(super) fn index_of(name: &str) -> io::Result<Option<u32>> {
    let any = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    match rustix::net::netdevice::name_to_index(any, name) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::NODEV | Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes an interface a port of a bridge.
pub(super) fn set_master(interface: u32, bridge: u32) -> io::Result<()> {
    // Family, padding and type; the interface; then what changes of its flags: nothing.
    let mut body: Vec<u8> = [0, interface, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
    put_attribute(&mut body, IFLA_MASTER, &bridge.to_ne_bytes());
    request(RTM_NEWLINK, 0, &body)
}

/// Gives an interface an address.
pub(super) fn add_address(interface: u32, net: IpNet) -> io::Result<()> {
    let (family, address) = match net.address() {
        IpAddr::V4(address) => (AddressFamily::INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AddressFamily::INET6, address.octets().to_vec()),
    };
    // Family, prefix, flags and scope.
    let mut body = vec![family.as_raw() as u8, net.prefix(), 0, 0];
    body.extend_from_slice(&interface.to_ne_bytes());
    for attribute in [IFA_LOCAL, IFA_ADDRESS] {
        put_attribute(&mut body, attribute, &address);
    }
    if let (IpAddr::V4(address), 0..=30) = (net.address(), net.prefix()) {
        let broadcast = netloom_core::Ipv4Net::new(address, net.prefix()).broadcast();
        put_attribute(&mut body, IFA_BROADCAST, &broadcast.octets());
    }
    request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body)
}

/// Appends an attribute, whose value is a multiple of four bytes long.
fn put_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    for field in [4 + value.len() as u16, kind] {
        body.extend_from_slice(&field.to_ne_bytes());
    }
    body.extend_from_slice(value);
}

/// Asks the kernel for something and waits for its acknowledgment.
fn request(kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    message.extend_from_slice(&((HEADER_BYTES + body.len()) as u32).to_ne_bytes());
    for field in [kind, flags | NLM_F_REQUEST | NLM_F_ACK] {
        message.extend_from_slice(&field.to_ne_bytes());
    }
    // Sequence number, and the port, which the kernel fills in.
    for field in [1_u32, 0] {
        message.extend_from_slice(&field.to_ne_bytes());
    }
    message.extend_from_slice(body);
    // Protocol 0 is routing.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0; 1024];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    let answer = &answer[..length];
    let kind = answer.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]]));
    let code = answer.get(HEADER_BYTES..).and_then(|rest| rest.first_chunk::<4>());
    // An error of 0 is the acknowledgment.
    match (kind, code.map(|code| i32::from_ne_bytes(*code))) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
