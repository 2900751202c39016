//! What happened, as words.

use netloom_core::{Event as FlowEvent, ResetReason};

use crate::boundary::{WORDS, with};
#[cfg(not(feature = "lan"))]
use crate::host::{collect_events, encode};
#[cfg(feature = "lan")]
use crate::lan::{collect_events, encode};
use crate::streams::flow_parts;

/// Length of an event: kind, index, generation, number, port, family, address.
const EVENT_WORDS: usize = 10;

pub(crate) type EventWords = [u32; EVENT_WORDS];

exports! {
    /// Tells what happened since the last call, oldest first; how many events stand in the words. Fewer than fit is all.
    fn poll_events() -> u32 {
        with(|instance| {
            collect_events(instance);
            let mut told = 0;
            for words in instance.words[..WORDS].chunks_exact_mut(EVENT_WORDS) {
                let Some(event) = instance.events.pop_front() else { break };
                words.copy_from_slice(&encode(&event));
                told += 1;
            }
            told
        })
    }

    /// How many events fit in the words.
    fn events_at_once() -> u32 {
        (WORDS / EVENT_WORDS) as u32
    }
}

/// What happened to a flow.
pub(crate) fn flow_event(event: &FlowEvent) -> EventWords {
    let (kind, id, number) = match *event {
        FlowEvent::Established { id } => (1, id, 0),
        FlowEvent::Data { id, bytes } => (2, id, bytes as u32),
        FlowEvent::Fin { id } => (3, id, 0),
        FlowEvent::Writable { id } => (4, id, 0),
        FlowEvent::Reset { id, why } => (5, id, reason(why)),
        FlowEvent::Closed { id } => (6, id, 0),
        FlowEvent::Open { id, .. } => (9, id, 0),
    };
    let (index, generation) = flow_parts(id);
    [kind, index, generation, number, 0, 0, 0, 0, 0, 0]
}

const fn reason(why: ResetReason) -> u32 {
    match why {
        ResetReason::Reset => 0,
        ResetReason::Refused => 1,
        ResetReason::Unreachable => 2,
        ResetReason::Timeout => 3,
        ResetReason::PortClosed => 4,
    }
}
