//! A client's message, read (RFC 2131 section 2). No state.

use core::net::Ipv4Addr;
use core::ops::Range;

use super::DhcpError;
use super::name::{fqdn_label, host_label};
use super::options::{self, Options};
use crate::addr::MacAddr;

pub(super) const BOOT_REQUEST: u8 = 1;
pub(super) const BOOT_REPLY: u8 = 2;
pub(super) const ETHERNET: u8 = 1;
pub(super) const BROADCAST_FLAG: u16 = 0x8000;
pub(super) const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Bytes of the fields before the magic cookie.
pub(super) const FIXED_BYTES: usize = 236;

const CHADDR: Range<usize> = 28..44;
const SNAME: Range<usize> = 44..108;
const FILE: Range<usize> = 108..236;

/// The kinds of message that clients send (option 53).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Discover,
    Request,
    Decline,
    Release,
    Inform,
}

/// A message from a client.
#[derive(Debug)]
pub(super) struct ClientMessage {
    pub(super) kind: Kind,
    pub(super) xid: [u8; 4],
    pub(super) flags: u16,
    pub(super) ciaddr: Option<Ipv4Addr>,
    pub(super) giaddr: Option<Ipv4Addr>,
    pub(super) chaddr: [u8; 16],
    pub(super) mac: MacAddr,
    pub(super) options: Options,
}

impl ClientMessage {
    /// Reads a message. `None`: it is well-formed but not for a DHCP server (plain BOOTP, another server's message).
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, DhcpError> {
        let fixed: &[u8; FIXED_BYTES] = bytes.first_chunk().ok_or(DhcpError::Malformed)?;
        if fixed[0] == BOOT_REPLY {
            return Ok(None);
        }
        let [b0, b1, b2, b3, b4, b5] = [fixed[28], fixed[29], fixed[30], fixed[31], fixed[32], fixed[33]];
        let mac = MacAddr([b0, b1, b2, b3, b4, b5]);
        if fixed[0] != BOOT_REQUEST || fixed[1] != ETHERNET || fixed[2] != 6 || !mac.is_unicast() {
            return Err(DhcpError::Malformed);
        }
        let Some(field) = bytes[FIXED_BYTES..].strip_prefix(&MAGIC_COOKIE) else { return Ok(None) };
        let options = read_options(fixed, field).ok_or(DhcpError::Malformed)?;
        let kind = match options.bytes(options::MESSAGE_TYPE) {
            None => return Ok(None),
            Some([1]) => Kind::Discover,
            Some([3]) => Kind::Request,
            Some([4]) => Kind::Decline,
            Some([7]) => Kind::Release,
            Some([8]) => Kind::Inform,
            Some(_) => return Err(DhcpError::Malformed),
        };
        let address = |at: usize| {
            let address = Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
            (!address.is_unspecified()).then_some(address)
        };
        let mut chaddr = [0; 16];
        chaddr.copy_from_slice(&fixed[CHADDR]);
        Ok(Some(Self {
            kind,
            xid: [fixed[4], fixed[5], fixed[6], fixed[7]],
            flags: u16::from_be_bytes([fixed[10], fixed[11]]),
            ciaddr: address(12),
            giaddr: address(24),
            chaddr,
            mac,
            options,
        }))
    }

    pub(super) fn wants_broadcast(&self) -> bool {
        self.flags & BROADCAST_FLAG != 0
    }

    pub(super) fn requested_address(&self) -> Option<Ipv4Addr> {
        self.options.address(options::REQUESTED_ADDRESS)
    }

    pub(super) fn server_id(&self) -> Option<Ipv4Addr> {
        self.options.address(options::SERVER_ID)
    }

    /// The client's identifier; empty if it tells none.
    pub(super) fn client_id(&self) -> &[u8] {
        self.options.bytes(options::CLIENT_ID).unwrap_or_default()
    }

    /// The lease time asked for, in seconds.
    pub(super) fn lease_time_s(&self) -> Option<u32> {
        self.options.fixed(options::LEASE_TIME).map(u32::from_be_bytes).filter(|s| *s > 0)
    }

    /// The client's name as one label of a host name: option 81 goes before option 12 (RFC 4702 section 2).
    pub(super) fn host_label(&self) -> Option<String> {
        let fqdn = self.options.bytes(options::CLIENT_FQDN).and_then(fqdn_label);
        fqdn.or_else(|| self.options.bytes(options::HOST_NAME).and_then(host_label))
    }
}

/// The options field, then `file` and `sname` if option 52 says that they hold options too.
fn read_options(fixed: &[u8; FIXED_BYTES], field: &[u8]) -> Option<Options> {
    let mut options = Options::default();
    options.read(field)?;
    let overload = options.fixed::<1>(options::OVERLOAD).map_or(0, |[o]| o);
    if overload & 1 != 0 {
        options.read(&fixed[FILE])?;
    }
    if overload & 2 != 0 {
        options.read(&fixed[SNAME])?;
    }
    Some(options)
}
