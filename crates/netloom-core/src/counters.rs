//! Every frame or datagram that the machine does not deliver is counted under a name.

macro_rules! drops {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a frame, packet or datagram was not delivered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Drop { $($(#[doc = $doc])+ $variant,)+ }

        impl Drop {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The counter's name: lower case with underscores, stable across releases.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

drops! {
    /// Shorter than an Ethernet header (14 bytes).
    FrameTooShort = "frame_too_short",
    /// Longer than 65,549 bytes.
    FrameTooLong = "frame_too_long",
    /// The source is a group address or all zero.
    SourceInvalid = "source_invalid",
    /// The port is closed.
    PortClosed = "port_closed",
    /// The source MAC belongs to another port, which was not silent for 2 s after it was asked, or to the machine itself.
    MacClaimed = "mac_claimed",
    /// The port already uses as many MACs as one port may.
    MacTableFull = "mac_table_full",
    /// The sender's or the receiver's port is isolated from other guests.
    Isolated = "isolated",
    /// The destination is on the port that the frame came from.
    Hairpin = "hairpin",
    /// The port sends more frames to groups than it may.
    BroadcastLimit = "broadcast_limit",
    /// The receiving port's queue is full.
    QueueFull = "queue_full",
    /// Waited for a port whose guest was away, until it was stale.
    Stale = "stale",
    /// Larger than the MTU of the receiving port.
    PortMtu = "port_mtu",
    /// A frame in which something was left to do, and which is not what it was said to be.
    OffloadMalformed = "offload_malformed",
    /// An ARP packet that is malformed or not about IPv4 over Ethernet.
    ArpMalformed = "arp_malformed",
    /// A neighbour did not answer ARP or neighbour solicitation; what waited for it is gone.
    NeighborUnresolved = "neighbor_unresolved",
    /// An IPv4 header that does not parse, or whose checksum is wrong.
    Ipv4Malformed = "ipv4_malformed",
    /// A source address that no host may use.
    Ipv4Source = "ipv4_source",
    /// A source address outside the LAN's subnet, on a gateway that does not learn foreign guests.
    Ipv4NotForUs = "ipv4_not_for_us",
    /// The TTL ran out.
    Ipv4Ttl = "ipv4_ttl",
    /// A protocol that the gateway does not carry.
    Ipv4Protocol = "ipv4_protocol",
    /// An IPv6 header that does not parse, or an extension header that reaches beyond its packet.
    Ipv6Malformed = "ipv6_malformed",
    /// An IPv6 source address that no host may use on a link, or the gateway's.
    Ipv6Source = "ipv6_source",
    /// An IPv6 source address outside the LAN's prefix and not link-local, or a destination that the gateway is not the way to.
    Ipv6NotForUs = "ipv6_not_for_us",
    /// The hop limit ran out.
    Ipv6HopLimit = "ipv6_hop_limit",
    /// An IPv6 extension header, option or protocol that the gateway does not carry, or nothing behind the headers.
    Ipv6NextHeader = "ipv6_next_header",
    /// A neighbour discovery message that is malformed, in fragments, or from beyond the link.
    NdpInvalid = "ndp_invalid",
    /// A fragment that does not fit its datagram, or overlaps.
    FragmentInvalid = "fragment_invalid",
    /// Too many datagrams or bytes in reassembly.
    FragmentLimit = "fragment_limit",
    /// A datagram whose fragments did not all arrive in time.
    FragmentTimeout = "fragment_timeout",
    /// An ICMP message that does not parse, or whose checksum is wrong.
    IcmpMalformed = "icmp_malformed",
    /// An ICMP message of a type that the gateway does not act on.
    IcmpIgnored = "icmp_ignored",
    /// An ICMP error not sent, because the rate limit for them was reached.
    IcmpRateLimited = "icmp_rate_limited",
    /// A UDP header that does not parse, or whose checksum is wrong.
    UdpMalformed = "udp_malformed",
    /// A UDP datagram that no flow could hold.
    UdpQueueFull = "udp_queue_full",
    /// A TCP header that does not parse, or whose checksum is wrong.
    TcpMalformed = "tcp_malformed",
    /// A TCP segment of no flow, answered by a reset.
    TcpNoFlow = "tcp_no_flow",
    /// A packet of a flow that is another guest's: its source address is not the sender's.
    FlowOfAnother = "flow_of_another",
    /// The guest has as many flows as it may.
    FlowLimit = "flow_limit",
    /// The guest has as many dials pending as it may.
    PendingDials = "pending_dials",
    /// The policy denies the destination.
    Policy = "policy",
    /// A DHCP message that does not parse or that asks for nothing we serve.
    DhcpMalformed = "dhcp_malformed",
    /// No address is left in the DHCP pool.
    DhcpPoolEmpty = "dhcp_pool_empty",
    /// A DNS message that does not parse as a query.
    DnsMalformed = "dns_malformed",
    /// The guest has as many DNS queries waiting as it may.
    DnsLimit = "dns_limit",
    /// A message for a service that does not parse.
    ServiceMalformed = "service_malformed",
}

/// A counter for each [`Drop`].
#[derive(Clone, Debug)]
pub struct Drops {
    counts: [u64; Drop::ALL.len()],
}

impl Default for Drops {
    fn default() -> Self {
        Self { counts: [0; Drop::ALL.len()] }
    }
}

impl Drops {
    /// Counts one.
    pub fn count(&mut self, drop: Drop) {
        self.counts[drop as usize] += 1;
    }

    /// Counts one unless all went well.
    pub(crate) fn count_unless(&mut self, well: bool, drop: Drop) {
        if !well {
            self.count(drop);
        }
    }

    /// How many were dropped for this reason.
    #[must_use]
    pub fn of(&self, drop: Drop) -> u64 {
        self.counts[drop as usize]
    }

    /// These drops and those of `other`.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self
    }

    /// Every counter that is not zero, in the order of [`Drop::ALL`].
    pub fn nonzero(&self) -> impl Iterator<Item = (Drop, u64)> + '_ {
        Drop::ALL.iter().map(|drop| (*drop, self.of(*drop))).filter(|(_, count)| *count > 0)
    }
}
