//! A client that shares no code with the server: it writes messages by the figures of RFC 2131 and reads options by those of RFC 2132.

use core::net::Ipv4Addr;

use super::super::{DhcpConfig, DhcpError, DhcpServer, Network, Reply};
use crate::addr::{Ipv4Net, MacAddr};
use crate::time::{Duration, Instant};

pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const LEASE_S: u64 = 3600;

pub(super) fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

pub(super) fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

pub(super) fn at_s(s: u64) -> Instant {
    Instant::from_us(s * 1_000_000)
}

pub(super) fn config() -> DhcpConfig {
    DhcpConfig {
        first: ip(100),
        last: ip(103),
        lease: Duration::from_secs(LEASE_S),
        fixed: vec![(mac(0xf1), ip(50)), (mac(0xf2), ip(101))],
        domain: "lan".to_owned(),
        dns: None,
    }
}

pub(super) fn network() -> Network {
    Network {
        subnet: Ipv4Net::new(ip(0), 24),
        server: SERVER,
        router: Some(SERVER),
        dns: vec![SERVER],
        mtu: 1500,
        reserved: vec![SERVER, ip(254)],
    }
}

pub(super) fn server() -> DhcpServer {
    DhcpServer::new(config(), network())
}

pub(super) const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const REQUEST: u8 = 3;
pub(super) const DECLINE: u8 = 4;
pub(super) const ACK: u8 = 5;
pub(super) const NAK: u8 = 6;
pub(super) const RELEASE: u8 = 7;
pub(super) const INFORM: u8 = 8;

/// A client's message in the making.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
}

impl Message {
    /// A message of the kind, without the end option.
    pub(super) fn new(kind: u8, mac: MacAddr) -> Self {
        let mut bytes = vec![0; 236];
        bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
        bytes[4..8].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
        bytes[28..34].copy_from_slice(&mac.0);
        bytes.extend_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        Self { bytes }.option(53, &[kind])
    }

    pub(super) fn option(mut self, code: u8, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(&[code, value.len() as u8]);
        self.bytes.extend_from_slice(value);
        self
    }

    pub(super) fn set(mut self, at: usize, value: &[u8]) -> Self {
        self.bytes[at..at + value.len()].copy_from_slice(value);
        self
    }

    pub(super) fn broadcast(self) -> Self {
        self.set(10, &[0x80, 0])
    }

    pub(super) fn ciaddr(self, address: Ipv4Addr) -> Self {
        self.set(12, &address.octets())
    }

    pub(super) fn giaddr(self, address: Ipv4Addr) -> Self {
        self.set(24, &address.octets())
    }

    pub(super) fn wants(self, address: Ipv4Addr) -> Self {
        self.option(50, &address.octets())
    }

    pub(super) fn server_id(self, address: Ipv4Addr) -> Self {
        self.option(54, &address.octets())
    }

    pub(super) fn name(self, name: &str) -> Self {
        self.option(12, name.as_bytes())
    }

    pub(super) fn send(mut self, server: &mut DhcpServer, now: Instant) -> Result<Option<Reply>, DhcpError> {
        self.bytes.push(255);
        server.handle(now, &self.bytes, &|_, _| false)
    }

    pub(super) fn answer(self, server: &mut DhcpServer, now: Instant) -> Parsed {
        Parsed::of(&self.send(server, now).unwrap().unwrap())
    }
}

/// A reply, read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) kind: u8,
    pub(super) ciaddr: Ipv4Addr,
    pub(super) yiaddr: Ipv4Addr,
    pub(super) options: Vec<(u8, Vec<u8>)>,
    pub(super) reply: Reply,
}

impl Parsed {
    pub(super) fn of(reply: &Reply) -> Self {
        let m = &reply.message;
        assert!(m.len() >= 300);
        assert_eq!(m[..4], [2, 1, 6, 0], "BOOTREPLY over Ethernet");
        assert_eq!(m[4..8], [0xde, 0xad, 0xbe, 0xef], "the client's transaction");
        assert_eq!(m[236..240], [0x63, 0x82, 0x53, 0x63]);
        let (mut options, mut at) = (Vec::new(), 240);
        while m[at] != 255 {
            let length = usize::from(m[at + 1]);
            options.push((m[at], m[at + 2..at + 2 + length].to_vec()));
            at += 2 + length;
        }
        assert!(m[at + 1..].iter().all(|b| *b == 0), "padding after the end option");
        let mut codes: Vec<u8> = options.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), options.len(), "each option once");
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&m[at..at + 4]).unwrap());
        let kind = options.iter().find(|(code, _)| *code == 53).unwrap().1[0];
        // A second reader, somebody else's, agrees. It takes any client identifier of seven bytes for an Ethernet address.
        let unreadable = options.iter().any(|(code, data)| *code == 61 && data.len() == 7 && data[0] != 1);
        if !unreadable {
            let packet = smoltcp::wire::DhcpPacket::new_checked(m).unwrap();
            let repr = smoltcp::wire::DhcpRepr::parse(&packet).unwrap();
            assert_eq!(repr.your_ip, address(16));
        }
        Self { kind, ciaddr: address(12), yiaddr: address(16), options, reply: reply.clone() }
    }

    pub(super) fn option(&self, code: u8) -> Option<&[u8]> {
        self.options.iter().find(|(c, _)| *c == code).map(|(_, value)| value.as_slice())
    }

    pub(super) fn codes(&self) -> Vec<u8> {
        self.options.iter().map(|(code, _)| *code).collect()
    }

    pub(super) fn seconds(&self, code: u8) -> Option<u32> {
        self.option(code).map(|value| u32::from_be_bytes(value.try_into().unwrap()))
    }
}

/// Takes a client through DISCOVER and REQUEST; its address.
pub(super) fn lease(server: &mut DhcpServer, now: Instant, mac: MacAddr) -> Ipv4Addr {
    let offer = Message::new(DISCOVER, mac).answer(server, now);
    let request = Message::new(REQUEST, mac).wants(offer.yiaddr).server_id(SERVER);
    let ack = request.answer(server, now);
    assert_eq!((offer.kind, ack.kind, ack.yiaddr), (OFFER, ACK, offer.yiaddr));
    ack.yiaddr
}
