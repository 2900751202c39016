//! A guest by hand that has its lease, and the DNS messages it exchanges.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::packet::{GATEWAY, arp_request, dhcp, dhcp_answer, frame, ipv4, is_arp_reply, mac, udp};
use super::{Guest, Relay};

/// A guest with its lease and the gateway's MAC.
pub struct Leased {
    pub guest: Guest,
    pub address: Ipv4Addr,
    gateway_mac: [u8; 6],
}

impl Leased {
    pub fn new(relay: &Relay, n: u8) -> Self {
        let mut guest = relay.guest();
        guest.send(&dhcp(mac(n), 1, &[]));
        let offer = guest.expect("an offer", |frame| dhcp_answer(frame).is_some_and(|(kind, _)| kind == 2));
        let address = dhcp_answer(&offer).expect("an offer").1;
        let [a, b, c, d] = address.octets();
        let server = GATEWAY.octets();
        let options = [50, 4, a, b, c, d, 54, 4, server[0], server[1], server[2], server[3]];
        guest.send(&dhcp(mac(n), 3, &options));
        guest.expect("an acknowledgement", |frame| dhcp_answer(frame) == Some((5, address)));
        guest.send(&arp_request(mac(n), address, GATEWAY));
        let reply = guest.expect("the gateway", |frame| is_arp_reply(frame, GATEWAY));
        let gateway_mac = reply[22..28].try_into().expect("six octets");
        Self { guest, address, gateway_mac }
    }

    pub fn send(&mut self, n: u8, to: Ipv4Addr, protocol: u8, payload: &[u8]) {
        let packet = ipv4(self.address, to, protocol, payload);
        self.guest.send(&frame(self.gateway_mac, mac(n), 0x0800, &packet));
    }

    pub fn udp(&mut self, n: u8, from: u16, to: SocketAddr, payload: &[u8]) {
        let SocketAddr::V4(to) = to else { panic!("IPv4") };
        self.send(n, *to.ip(), 17, &udp(from, to.port(), payload));
    }
}

/// A query for A records of a name.
pub fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("a label"));
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The answer to a query: a record for each address.
pub fn answer(query: &[u8], addresses: &[IpAddr]) -> Vec<u8> {
    let mut message = query.to_vec();
    message[2] |= 0x80;
    message[7] = u8::try_from(addresses.len()).expect("few");
    for address in addresses {
        let (kind, length) = if address.is_ipv4() { (1, 4) } else { (28, 16) };
        message.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, length]);
        match address {
            IpAddr::V4(v4) => message.extend(v4.octets()),
            IpAddr::V6(v6) => message.extend(v6.octets()),
        }
    }
    message
}
