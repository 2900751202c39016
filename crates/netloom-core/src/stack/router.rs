//! Router advertisements: who the gateway is, which addresses guests may form, the MTU and the DNS server (RFC 4861 4.2, 4.6 and 6.2,
//! RFC 4862, RFC 8106).
//!
//! Who solicits is answered at once and alone, since this is the link's only router; so is a NIC that receives no multicast. All others
//! hear from the gateway from time to time, once anybody has used IPv6.

use core::hash::BuildHasher;
use core::net::Ipv6Addr;

use super::ndp::{Message, ROUTER_ADVERTISEMENT, ndp_frame, source_link_address};
use super::{Role, Stack};
use crate::addr::MacAddr;
use crate::config::Ipv6Config;
use crate::flow::Guest;
use crate::hash::Seeded;
use crate::interface::InterfaceId;
use crate::time::{Duration, Instant};
use crate::wire::ip::HOP_LIMIT;
use crate::wire::ipv6;

/// Least and greatest time between two advertisements to everyone, in seconds (RFC 4861 6.2.1).
const INTERVAL_S: (u64, u64) = (200, 600);
/// The first ones follow closer (RFC 4861 6.2.4).
const INITIAL_INTERVAL: Duration = Duration::from_secs(16);
const INITIAL_ADVERTISEMENTS: u64 = 3;
/// How long the router and its DNS server may be used after an advertisement: three of the longest intervals.
const LIFETIME_S: u16 = 1800;
/// How long an address of the prefix may be used, and how long for new flows: a day and four hours, so that a LAN whose prefix changes is
/// not haunted by the former one for a month, as with the defaults of RFC 4861 6.2.1.
const VALID_S: u32 = 86_400;
const PREFERRED_S: u32 = 14_400;

const PREFIX_INFORMATION: u8 = 3;
const MTU: u8 = 5;
const RDNSS: u8 = 25;
/// Flags of a prefix: addresses of it are on the link, and may be formed.
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;
/// The length of prefix that guests form addresses with (RFC 4862 5.5.3, RFC 2464 4).
const SLAAC_PREFIX: u8 = 64;

/// When everyone hears from the gateway.
pub(super) struct Advertiser {
    pub(super) next: Option<Instant>,
    sent: u64,
    random: Seeded,
}

impl Advertiser {
    pub(super) const fn new(random: Seeded) -> Self {
        Self { next: None, sent: 0, random }
    }

    /// A time after which the next one is due, by chance, so that no two routers fall into step.
    fn interval(&self) -> Duration {
        let (least, most) = INTERVAL_S;
        let us = self.random.hash_one(self.sent) % ((most - least) * 1_000_000);
        let interval = Duration::from_secs(least) + Duration::from_micros(us);
        if self.sent < INITIAL_ADVERTISEMENTS { interval.min(INITIAL_INTERVAL) } else { interval }
    }
}

impl<R: Role> Stack<R> {
    /// Somebody uses IPv6.
    pub(super) fn begin_advertising(&mut self, now: Instant) {
        if self.advertiser.next.is_none() {
            self.advertiser.sent = 0;
            self.advertiser.next = Some(now + self.advertiser.interval());
        }
    }

    /// Advertises to everyone when it is time; without anybody who uses IPv6 there is no more to say.
    pub(super) fn advertise(&mut self, now: Instant) {
        if self.advertiser.next.is_none_or(|next| next > now) {
            return;
        }
        if !self.neighbors.speak_v6() {
            self.advertiser.next = None;
            return;
        }
        self.advertiser.sent += 1;
        self.advertiser.next = Some(now + self.advertiser.interval());
        if let Some(frame) = self.advertisement(ipv6::group_mac(ipv6::ALL_NODES), ipv6::ALL_NODES) {
            self.push_to_group(InterfaceId::LAN, &frame);
        }
    }

    /// Answers who solicits: by his address, or, if he has none yet, by a packet to all nodes in a frame to him alone (RFC 6085).
    pub(super) fn advertise_to(&mut self, guest: Guest, asker: Ipv6Addr) {
        let to = if asker.is_unspecified() { ipv6::ALL_NODES } else { asker };
        if let Some(frame) = self.advertisement(guest.mac, to) {
            self.push(guest.port, &frame);
        }
    }

    fn advertisement(&self, mac: MacAddr, to: Ipv6Addr) -> Option<Vec<u8>> {
        let Ipv6Config { prefix, gateway_address } = self.config.ipv6?;
        // Reachable and retransmission times are left to the guest.
        let mut body = vec![0; 8];
        body.extend_from_slice(&source_link_address(self.config.gateway_mac));
        if self.config.mtu >= ipv6::MIN_MTU {
            body.extend_from_slice(&[MTU, 1, 0, 0]);
            body.extend_from_slice(&u32::from(self.config.mtu).to_be_bytes());
        }
        let flags = if prefix.prefix() == SLAAC_PREFIX { ON_LINK | AUTONOMOUS } else { ON_LINK };
        body.extend_from_slice(&[PREFIX_INFORMATION, 4, prefix.prefix(), flags]);
        for field in [VALID_S, PREFERRED_S, 0] {
            body.extend_from_slice(&field.to_be_bytes());
        }
        body.extend_from_slice(&prefix.network().octets());
        if self.config.dns.is_some() {
            body.extend_from_slice(&[RDNSS, 3, 0, 0]);
            body.extend_from_slice(&u32::from(LIFETIME_S).to_be_bytes());
            body.extend_from_slice(&gateway_address.octets());
        }
        // Who only serves is no way out.
        let [high, low] = if self.config.gateway { LIFETIME_S.to_be_bytes() } else { [0, 0] };
        let message = Message { kind: ROUTER_ADVERTISEMENT, rest: [HOP_LIMIT, 0, high, low], body: &body };
        Some(ndp_frame((self.config.gateway_mac, mac), (self.config.gateway_mac.link_local(), to), &message))
    }
}
