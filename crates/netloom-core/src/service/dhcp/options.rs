//! The option fields of a message (RFC 2132): read from all places they may lie in, written within a limit. No state.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

pub(super) const PAD: u8 = 0;
pub(super) const SUBNET_MASK: u8 = 1;
pub(super) const ROUTER: u8 = 3;
pub(super) const DNS_SERVERS: u8 = 6;
pub(super) const HOST_NAME: u8 = 12;
pub(super) const DOMAIN_NAME: u8 = 15;
pub(super) const INTERFACE_MTU: u8 = 26;
pub(super) const BROADCAST: u8 = 28;
pub(super) const REQUESTED_ADDRESS: u8 = 50;
pub(super) const LEASE_TIME: u8 = 51;
pub(super) const OVERLOAD: u8 = 52;
pub(super) const MESSAGE_TYPE: u8 = 53;
pub(super) const SERVER_ID: u8 = 54;
pub(super) const PARAMETER_LIST: u8 = 55;
pub(super) const MESSAGE: u8 = 56;
pub(super) const MAX_MESSAGE_SIZE: u8 = 57;
pub(super) const RENEWAL_TIME: u8 = 58;
pub(super) const REBINDING_TIME: u8 = 59;
pub(super) const CLIENT_ID: u8 = 61;
pub(super) const RAPID_COMMIT: u8 = 80;
pub(super) const CLIENT_FQDN: u8 = 81;
pub(super) const RELAY_INFORMATION: u8 = 82;
pub(super) const END: u8 = 255;

/// The options of a message by code. Parts of one option are joined (RFC 3396).
#[derive(Debug, Default)]
pub(super) struct Options(BTreeMap<u8, Vec<u8>>);

impl Options {
    /// Reads one field of options; `None` if an option runs past the field's end. A missing end option is the field's end.
    pub(super) fn read(&mut self, mut field: &[u8]) -> Option<()> {
        while let Some((code, rest)) = field.split_first() {
            field = match *code {
                PAD => rest,
                END => return Some(()),
                code => {
                    let (length, rest) = rest.split_first()?;
                    let (value, rest) = rest.split_at_checked(usize::from(*length))?;
                    self.0.entry(code).or_default().extend_from_slice(value);
                    rest
                }
            };
        }
        Some(())
    }

    pub(super) fn bytes(&self, code: u8) -> Option<&[u8]> {
        self.0.get(&code).map(Vec::as_slice)
    }

    /// An option that is one number or address of `N` bytes.
    pub(super) fn fixed<const N: usize>(&self, code: u8) -> Option<[u8; N]> {
        self.bytes(code)?.first_chunk().copied()
    }

    /// An address, where 0.0.0.0 means none: clients fill it in for "not known".
    pub(super) fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.fixed::<4>(code).map(Ipv4Addr::from).filter(|a| !a.is_unspecified())
    }
}

/// Writes options at the end of a message, up to a limit, each code once.
pub(super) struct Writer {
    bytes: Vec<u8>,
    limit: usize,
    written: [bool; 256],
}

impl Writer {
    /// A writer after `bytes`. The whole message, with the end option, stays within `limit` bytes.
    pub(super) fn new(bytes: Vec<u8>, limit: usize) -> Self {
        Self { bytes, limit: limit.saturating_sub(1), written: [false; 256] }
    }

    /// Writes an option, unless the code was written before or there is no room for it.
    pub(super) fn put(&mut self, code: u8, value: &[u8]) {
        let Ok(length) = u8::try_from(value.len()) else { return };
        if self.written[usize::from(code)] || self.bytes.len() + 2 + value.len() > self.limit {
            return;
        }
        self.written[usize::from(code)] = true;
        self.bytes.extend_from_slice(&[code, length]);
        self.bytes.extend_from_slice(value);
    }

    /// Ends the options, and fills up to `least` bytes.
    pub(super) fn finish(mut self, least: usize) -> Vec<u8> {
        self.bytes.push(END);
        if self.bytes.len() < least {
            self.bytes.resize(least, PAD);
        }
        self.bytes
    }
}
