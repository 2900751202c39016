//! Ports and the frames that cross them.

use netloom_core::{MacAddr, PortConfig, PortId};

use crate::boundary::{with, with_machine};
use crate::frames::NONE;

const MULTICAST_TO_UNICAST: u32 = 1;
const ISOLATED: u32 = 2;

exports! {
    /// Opens a port; its number. `burst` 0 is no limit. `flags`: 1 multicast as unicast, 2 isolated.
    fn open_port(mtu: u32, queue_bytes: u32, burst: u32, macs: u32, flags: u32) -> u32 {
        let config = PortConfig {
            mtu: mtu as u16,
            queue_bytes: queue_bytes as usize,
            burst: (burst > 0).then_some(burst as u16),
            isolated: flags & ISOLATED > 0,
            macs: macs as usize,
            multicast_to_unicast: flags & MULTICAST_TO_UNICAST > 0,
            ..PortConfig::default()
        };
        with_machine(NONE, |lan| lan.open_port(config).number())
    }

    /// Closes a port: its guests' flows are reset.
    fn close_port(port: u32) {
        with_machine((), |lan| lan.close_port(PortId::from_number(port)));
    }

    /// Has a port's guest known by the MAC address that begins the arena, or by its own again.
    fn translate(port: u32, other: u32) {
        with(|instance| {
            let mut mac = MacAddr::default();
            mac.0.copy_from_slice(&instance.arena[..6]);
            if let Some(lan) = &mut instance.machine {
                lan.translate(PortId::from_number(port), (other > 0).then_some(mac));
            }
        });
    }
}
