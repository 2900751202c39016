//! What a page has in place of sockets: ways out of a LAN, of which each is one WebSocket's protocol.
//!
//! ```text
//! Lan ── flow ──▶ Egresses ── Wisp: stream ──▶ messages ──▶ (the page's WebSocket)
//! ```
//!
//! Sans-IO and deterministic as the machine itself. Who drives a [`Lan`] drives its egresses beside it: each event of a flow is offered to
//! [`Egresses::handle_event`] first, each deadline is the earlier of both, and after every call the messages of each egress are polled.

mod wisp;

use netloom_core::{Event, FlowId, Instant, Lan};

pub use wisp::{State, Wisp, WispConfig};

/// The egresses of one LAN, by number.
#[derive(Default)]
pub struct Egresses {
    wisps: Vec<Option<Wisp>>,
}

impl Egresses {
    /// Adds a Wisp client; its number, which is used again once it was removed.
    pub fn add_wisp(&mut self, config: WispConfig) -> u32 {
        let free = self.wisps.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.wisps.push(None);
            self.wisps.len() - 1
        });
        self.wisps[index] = Some(Wisp::new(config));
        index as u32
    }

    /// The Wisp client of a number.
    pub fn wisp(&mut self, number: u32) -> Option<&mut Wisp> {
        self.wisps.get_mut(number as usize)?.as_mut()
    }

    /// Removes an egress: its connections are reset, and what waits is refused.
    pub fn remove(&mut self, now: Instant, lan: &mut Lan, number: u32) {
        if let Some(mut wisp) = self.wisps.get_mut(number as usize).and_then(Option::take) {
            wisp.close(now, lan);
        }
    }

    /// Offers an event; false if the flow is none of an egress's.
    pub fn handle_event(&mut self, now: Instant, lan: &mut Lan, event: &Event) -> bool {
        let Some(flow) = flow_of(event) else { return false };
        match self.wisps.iter_mut().flatten().find(|wisp| wisp.has(flow)) {
            Some(wisp) => {
                wisp.handle_event(now, lan, event);
                true
            }
            None => false,
        }
    }

    /// Acts on deadlines that have passed. Too early or too often is harmless.
    pub fn handle_timeout(&mut self, now: Instant, lan: &mut Lan) {
        for wisp in self.wisps.iter_mut().flatten() {
            wisp.handle_timeout(now, lan);
        }
    }

    /// The next deadline, with its reason.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        self.wisps.iter_mut().flatten().filter_map(Wisp::poll_timeout).min()
    }
}

const fn flow_of(event: &Event) -> Option<FlowId> {
    match *event {
        Event::Open { .. } => None,
        Event::Data { id, .. }
        | Event::Fin { id }
        | Event::Reset { id, .. }
        | Event::Writable { id }
        | Event::Established { id }
        | Event::Closed { id } => Some(id),
    }
}
