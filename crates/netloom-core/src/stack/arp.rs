//! ARP: answers for the gateway and for what it stands for, questions about guests (RFC 826, 1027, 5227).

use core::net::Ipv4Addr;

use super::{Role, Stack};
use crate::addr::MacAddr;
use crate::counters::Drop;
use crate::flow::Guest;
use crate::port::PortId;
use crate::time::Instant;
use crate::wire::ethernet::{self, ETHERNET_BYTES, mac_at};

pub(super) const ETHERTYPE: u16 = 0x0806;
const ARP_BYTES: usize = 28;
const PREFIX: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

impl<R: Role> Stack<R> {
    pub(super) fn handle_arp(&mut self, now: Instant, port: PortId, frame: &[u8]) {
        let Some(arp) = frame.get(ETHERNET_BYTES..ETHERNET_BYTES + ARP_BYTES) else {
            self.drops.count(Drop::ArpMalformed);
            return;
        };
        let mac = mac_at(arp, 8);
        let Some(own) = self.link(port).map(|link| link.mac) else { return };
        if arp[..6] != PREFIX || !mac.is_unicast() || mac == own {
            self.drops.count(Drop::ArpMalformed);
            return;
        }
        let operation = u16::from_be_bytes([arp[6], arp[7]]);
        let sender = Ipv4Addr::new(arp[14], arp[15], arp[16], arp[17]);
        let target = Ipv4Addr::new(arp[24], arp[25], arp[26], arp[27]);
        if !sender.is_unspecified() {
            self.learn(now, sender.into(), Guest { port, mac });
        }
        if operation != REQUEST || sender == target {
            return;
        }
        // Outside the subnet a gateway is the way, whatever the guest thinks of its netmask.
        let stands_for =
            self.config.gateway && !self.config.subnet.contains(target) && !sender.is_unspecified();
        let link_local = target.is_link_local() || target.is_unspecified() || target.is_multicast();
        if self.answers_for(port, target.into()) || (stands_for && !link_local) {
            self.push(port, &arp_frame(REPLY, (own, target), (mac, sender)));
        }
    }
}

/// A message from one who uses an address to one who does, or is to tell whether he does.
fn arp_frame(operation: u16, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET_BYTES + ARP_BYTES];
    ethernet::emit(target.0, sender.0, ETHERTYPE, &mut frame);
    let arp = &mut frame[ETHERNET_BYTES..];
    arp[..6].copy_from_slice(&PREFIX);
    arp[6..8].copy_from_slice(&operation.to_be_bytes());
    arp[8..14].copy_from_slice(&sender.0.0);
    arp[14..18].copy_from_slice(&sender.1.octets());
    if operation == REPLY {
        arp[18..24].copy_from_slice(&target.0.0);
    }
    arp[24..28].copy_from_slice(&target.1.octets());
    frame
}

/// A question to one MAC address about its own IP address, which changes no cache (RFC 5227 1.1).
pub(super) fn arp_probe(own: MacAddr, mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    arp_frame(REQUEST, (own, Ipv4Addr::UNSPECIFIED), (mac, address))
}

/// A question to everyone about who uses an address.
pub(super) fn arp_request(own: (MacAddr, Ipv4Addr), address: Ipv4Addr) -> Vec<u8> {
    arp_frame(REQUEST, own, (MacAddr::BROADCAST, address))
}
