//! Ports: where guests' NICs and uplinks meet the switch.

/// Longest frame that any port accepts, in bytes: an Ethernet header and 65,535 bytes of payload.
pub const MAX_FRAME_BYTES: usize = 65_549;

/// Shortest frame that any port accepts, in bytes: an Ethernet header. NICs that do not pad are common.
pub const MIN_FRAME_BYTES: usize = 14;

/// Names a port of a LAN's switch for as long as the port is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub(crate) u32);

impl PortId {
    /// The port's number. Numbers of closed ports are used again.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The port of a number. One that is not open is harmless everywhere.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How a port behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Largest payload of a frame that is sent to the port, in bytes: 68 to 65,535. Frames from the port may be of any size. Below 1280 the
    /// machine speaks no IPv6 there (RFC 8200 5).
    pub mtu: u16,
    /// Bytes of frames that may wait for the port to be polled; what comes on top is dropped and counted.
    pub queue_bytes: usize,
    /// Full frames that the stack may send in one go before the guest answers, for NICs with a small ring (ne2k: 8).
    pub burst: Option<u16>,
    /// Whether a frame to the port may carry a TCP segment of up to 64 KiB whatever the MTU, as a NIC with segmentation offload takes it:
    /// whoever polls hands it on whole to one that receives so, such as another machine in the same process, or cuts it. Otherwise
    /// the machine cuts.
    pub large_segments: bool,
    /// Whether what is polled and what arrives carries an [`Offload`](crate::Offload): by [`Lan::handle_offloaded`](crate::Lan::handle_offloaded)
    /// and [`Lan::poll_offloaded`](crate::Lan::poll_offloaded) alone. It takes large segments then, whose checksums nobody has computed.
    pub offloads: bool,
    /// Whether the port is kept from every other guest, and reaches only the gateway.
    pub isolated: bool,
    /// Whether frames cross no wire, so that checksums need neither be computed nor verified.
    pub trusted: bool,
    /// How many MAC addresses may be behind the port.
    pub macs: usize,
    /// Whether IP multicast goes to the port in a frame to the one MAC address behind it, as Wi-Fi access points send it (RFC 6085), while
    /// the packet stays as it is. With several addresses behind the port, or none yet, a guest's frame stays as it is too; the machine's own
    /// go to each that uses IPv6.
    ///
    /// It is for NICs that receive no multicast, as v86's ne2k, and does others no harm. Without it such a guest still gets its IPv6 address
    /// and reaches the gateway and the outside, since all answers go to it alone; but it hears no later advertisement, so that its router
    /// runs out after half an hour, nor another guest that looks for it: guests reach it by IPv6 only while they remember its MAC
    /// address, and none is warned who takes its address too. Nor does it get mDNS.
    pub multicast_to_unicast: bool,
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            mtu: 1500,
            queue_bytes: 1 << 20,
            burst: None,
            large_segments: false,
            offloads: false,
            isolated: false,
            trusted: false,
            macs: 1024,
            multicast_to_unicast: false,
        }
    }
}
