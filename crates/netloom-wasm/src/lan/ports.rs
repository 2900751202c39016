//! Ports and the frames that cross them.

use netloom_core::{MacAddr, PortConfig, PortId};

use super::collect_events;
use crate::boundary::{pointer, with, with_machine, with_machine_at};

/// Stands for no port.
const NONE: u32 = u32::MAX;
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

    /// Takes a frame of this length from the arena.
    fn handle_frame(now_us: f64, port: u32, length: u32) {
        with(|instance| {
            let now = instance.at(now_us);
            let frame = instance.arena.get(..length as usize).unwrap_or_default();
            if let Some(lan) = &mut instance.machine {
                lan.handle_frame(now, PortId::from_number(port), frame);
            }
            collect_events(instance);
        });
    }

    /// A port that has frames to send, or 2³² − 1. It is given once until it was drained.
    fn poll_interface() -> u32 {
        with_machine(None, |machine| machine.poll_port()).map_or(NONE, PortId::number)
    }

    /// Where the next frame is that a port sends, or 0; word 0 is its length.
    fn poll_frame(now_us: f64, port: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let Some(lan) = &mut instance.machine else { return 0 };
            let Some(frame) = lan.poll_frame(now, PortId::from_number(port)) else { return 0 };
            instance.words[0] = frame.len() as u32;
            pointer(frame)
        })
    }

    /// Drops all that a port has to send.
    fn discard_frames(now_us: f64, port: u32) {
        with_machine_at(now_us, (), |lan, now| while lan.poll_frame(now, PortId::from_number(port)).is_some() {});
    }
}
