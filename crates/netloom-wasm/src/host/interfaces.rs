//! Interfaces and the frames that cross them.

use netloom_core::interface::{InterfaceConfig, InterfaceId, Medium};
use netloom_core::{IpNet, MacAddr, PortConfig};

use crate::boundary::{address, with, with_machine};
use crate::frames::NONE;
use crate::stats::leave;

/// Length of an address with its prefix in the arena: family, prefix length, address.
const NET_BYTES: usize = 18;
const MAC_BYTES: usize = 6;

exports! {
    /// Opens an interface; its number. `medium` is 0 loopback, 1 tun, 2 tap, 3 bridge; `burst` 0 is no limit. The arena holds the MAC address,
    /// then the addresses: family, prefix length and 16 bytes each.
    fn open_interface(medium: u32, mtu: u32, queue_bytes: u32, burst: u32, masquerade: u32, addresses: u32) -> u32 {
        with(|instance| {
            let medium = match medium {
                0 => Medium::Loopback,
                1 => Medium::Tun,
                2 => Medium::Tap,
                _ => Medium::Bridge,
            };
            let mut mac = MacAddr::default();
            mac.0.copy_from_slice(&instance.arena[..MAC_BYTES]);
            let config = InterfaceConfig {
                medium,
                mac,
                addresses: nets(&instance.arena[MAC_BYTES..], addresses),
                port: PortConfig {
                    mtu: mtu as u16,
                    queue_bytes: queue_bytes as usize,
                    burst: (burst > 0).then_some(burst as u16),
                    ..PortConfig::default()
                },
                masquerade: masquerade > 0,
            };
            instance.machine.as_mut().map_or(NONE, |host| host.open_interface(&config).number())
        })
    }

    /// Closes an interface; what goes through it is reset.
    fn close_interface(interface: u32) {
        with_machine((), |host| host.close_interface(InterfaceId::from_number(interface)));
    }

    /// Gives an interface other addresses, which stand in the arena as for `open_interface`, from its start.
    fn set_addresses(interface: u32, addresses: u32) {
        with(|instance| {
            let nets = nets(&instance.arena, addresses);
            if let Some(host) = &mut instance.machine {
                host.set_addresses(InterfaceId::from_number(interface), &nets);
            }
        });
    }

    /// Makes a tap a port of a bridge; 1, or 0 if it cannot be.
    fn join_bridge(bridge: u32, tap: u32) -> u32 {
        let (bridge, tap) = (InterfaceId::from_number(bridge), InterfaceId::from_number(tap));
        u32::from(with_machine(false, |host| host.join_bridge(bridge, tap)))
    }

    /// Makes a tap an interface of its own again.
    fn leave_bridge(tap: u32) {
        with_machine((), |host| host.leave_bridge(InterfaceId::from_number(tap)));
    }

    /// What the other end of an interface takes: segments larger than the MTU, and frames without checksums. 0 if it cannot be told.
    fn set_offload(interface: u32, large_segments: u32, trusted: u32) -> u32 {
        let id = InterfaceId::from_number(interface);
        u32::from(with_machine(false, |host| host.set_offload(id, large_segments > 0, trusted > 0)))
    }

    /// 1 and the words: an interface's frames and bytes in, frames and bytes out, each in two words, low first; or 0.
    fn interface_counters(interface: u32) -> u32 {
        with(|instance| {
            let Some(host) = &instance.machine else { return 0 };
            let Some(counters) = host.traffic(InterfaceId::from_number(interface)) else { return 0 };
            let counts = [counters.frames_in, counters.bytes_in, counters.frames_out, counters.bytes_out];
            for (words, count) in instance.words.chunks_exact_mut(2).zip(counts) {
                leave(words, count);
            }
            1
        })
    }
}

fn nets(arena: &[u8], count: u32) -> Vec<IpNet> {
    let net = |bytes: &[u8]| Some(IpNet::new(address(&bytes[2..], bytes[0].into())?, bytes[1]));
    arena.chunks_exact(NET_BYTES).take(count as usize).filter_map(net).collect()
}
