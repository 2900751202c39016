//! What happened, as words.

use netloom_core::host::Event;
use netloom_core::{Event as FlowEvent, ResetReason};

use crate::boundary::{WORDS, octets, with};
use crate::streams::flow_parts;

/// Length of an event: kind, index, generation, number, port, family, address.
const EVENT_WORDS: usize = 10;

exports! {
    /// Tells what happened since the last call, oldest first; how many events stand in the words. Fewer than fit is all.
    fn poll_events() -> u32 {
        with(|instance| {
            instance.collect_events();
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

fn encode(event: &Event) -> [u32; EVENT_WORDS] {
    let mut words = [0; EVENT_WORDS];
    let (kind, (index, generation), number) = match *event {
        Event::Accepted { listener } => (0, listener.to_parts(), 0),
        Event::Flow(FlowEvent::Established { id }) => (1, flow_parts(id), 0),
        Event::Flow(FlowEvent::Data { id, bytes }) => (2, flow_parts(id), bytes as u32),
        Event::Flow(FlowEvent::Fin { id }) => (3, flow_parts(id), 0),
        Event::Flow(FlowEvent::Writable { id }) => (4, flow_parts(id), 0),
        Event::Flow(FlowEvent::Reset { id, why }) => (5, flow_parts(id), reason(why)),
        Event::Flow(FlowEvent::Closed { id }) => (6, flow_parts(id), 0),
        Event::Datagram { socket } => (7, socket.to_parts(), 0),
        Event::Undelivered { socket, target, refused } => {
            let (family, octets) = octets(target.ip());
            words[4] = target.port().into();
            words[5] = family.into();
            for (word, bytes) in words[6..].iter_mut().zip(octets.as_chunks().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            (8, socket.to_parts(), refused.into())
        }
        // A LAN's; a host accepts by its listeners.
        Event::Flow(FlowEvent::Open { .. }) => (9, (0, 0), 0),
    };
    words[0] = kind;
    words[1] = index;
    words[2] = generation;
    words[3] = number;
    words
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
