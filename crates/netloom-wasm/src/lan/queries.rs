//! DNS queries for the outside. An id is two words, low first.

use netloom_core::QueryId;

use crate::boundary::{pointer, with};

pub(super) const fn query(low: u32, high: u32) -> QueryId {
    QueryId::from_bits((high as u64) << 32 | low as u64)
}

exports! {
    /// A query that waits for its answer: 1 and words pointer and length of the message and the guest's port, the arena its MAC address; or 0.
    fn peek_query(low: u32, high: u32) -> u32 {
        with(|instance| {
            let Some(lan) = &instance.machine else { return 0 };
            let Some((guest, message)) = lan.query(query(low, high)) else { return 0 };
            instance.words[..3].copy_from_slice(&[
                pointer(message),
                message.len() as u32,
                guest.port.number(),
            ]);
            instance.arena[..6].copy_from_slice(&guest.mac.0);
            1
        })
    }

    /// Answers a query with the message of this length that begins the arena; 0 bytes are no answer: the guest gets SERVFAIL.
    fn answer(now_us: f64, low: u32, high: u32, bytes: u32) {
        with(|instance| {
            let now = instance.at(now_us);
            let message = instance.arena.get(..bytes as usize).filter(|message| !message.is_empty());
            if let Some(lan) = &mut instance.machine {
                lan.handle_answer(now, query(low, high), message);
            }
        });
    }
}
