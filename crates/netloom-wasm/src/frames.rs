//! Frames: what crosses a host's interfaces, or a LAN's ports.

use crate::boundary::{Machine, pointer, with, with_machine, with_machine_at};
#[cfg(not(feature = "lan"))]
use crate::host::{Place, collect_events, poll_place};
#[cfg(feature = "lan")]
use crate::lan::{Place, collect_events, poll_place};

/// Stands for no interface and no port.
pub(crate) const NONE: u32 = u32::MAX;

exports! {
    /// Takes a frame of this length from the arena, which arrived at an interface or port; for a tun, 14 bytes of any content and a packet.
    fn handle_frame(now_us: f64, place: u32, length: u32) {
        with(|instance| {
            let now = instance.at(now_us);
            let frame = instance.arena.get_mut(..length as usize).unwrap_or_default();
            if let Some(machine) = &mut instance.machine {
                machine.handle_frame(now, Place::from_number(place), frame);
            }
            collect_events(instance);
        });
    }

    /// An interface or port that has frames to send, or 2³² − 1. It is given once until it was drained.
    fn poll_interface() -> u32 {
        with_machine(None, poll_place).map_or(NONE, Place::number)
    }

    /// Where the next frame is that an interface or port sends, or 0; word 0 is its length. For a tun the packet begins after 14 bytes.
    fn poll_frame(now_us: f64, place: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let Some(machine) = &mut instance.machine else { return 0 };
            let Some(frame) = machine.poll_frame(now, Place::from_number(place)) else { return 0 };
            instance.words[0] = frame.len() as u32;
            pointer(frame)
        })
    }

    /// Drops all that an interface or port has to send.
    fn discard_frames(now_us: f64, place: u32) {
        let discard = |machine: &mut Machine, now| while machine.poll_frame(now, Place::from_number(place)).is_some() {};
        with_machine_at(now_us, (), discard);
    }
}
