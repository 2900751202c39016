//! Guests and their addresses.

use netloom_core::Neighbor;

use crate::boundary::{leave_address, with, with_machine};

/// Longest name of a guest: one label.
const NAME_BYTES: usize = 63;
/// Length of a listed neighbour: address in 16 bytes, family, the port's number in 4 bytes, little-endian, MAC address, and its name behind its length.
const NEIGHBOR_BYTES: usize = 28 + NAME_BYTES;

exports! {
    /// Lists addresses in use in the arena, leaving out the first `skip`; how many it lists.
    fn list_neighbors(now_us: f64, skip: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let Some(lan) = &instance.machine else { return 0 };
            let places = instance.arena.chunks_exact_mut(NEIGHBOR_BYTES);
            let neighbors = lan.neighbors(now).skip(skip as usize);
            places.zip(neighbors).map(|(place, neighbor)| lay(place, &neighbor)).count() as u32
        })
    }

    /// Differs after guests or their addresses have changed.
    fn neighbors_age() -> f64 {
        with_machine(0.0, |lan| lan.neighbors_age() as f64)
    }
}

fn lay(place: &mut [u8], neighbor: &Neighbor<'_>) {
    let name = neighbor.name.unwrap_or_default().as_bytes();
    let name = &name[..name.len().min(NAME_BYTES)];
    place[16] = leave_address(place, neighbor.address) as u8;
    place[17..21].copy_from_slice(&neighbor.guest.port.number().to_le_bytes());
    place[21..27].copy_from_slice(&neighbor.guest.mac.0);
    place[27] = name.len() as u8;
    place[28..][..name.len()].copy_from_slice(name);
}
