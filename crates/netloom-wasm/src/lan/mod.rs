//! A LAN: ports, the flows that guests open, and DNS queries for the outside.

pub mod flows;
pub mod lifecycle;
pub mod neighbors;
pub mod ports;
pub mod queries;
mod settings;
pub mod wisp;

use core::ops::{Deref, DerefMut};

pub(crate) use netloom_core::PortId as Place;
use netloom_core::{Event as FlowEvent, Instant, Lan, QueryId};
use netloom_page::Egresses;

use crate::boundary::Instance;
use crate::events::{EventWords, flow_event};

/// The LAN, and the ways out of it that the module has itself.
pub(crate) struct Machine {
    lan: Lan,
    egresses: Egresses,
    /// The beginning of a message for an egress, which comes in pieces.
    pieces: Vec<u8>,
}

impl Machine {
    pub(crate) fn new(lan: Lan) -> Self {
        Self { lan, egresses: Egresses::default(), pieces: Vec::new() }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.lan.handle_timeout(now);
        self.egresses.handle_timeout(now, &mut self.lan);
    }

    pub(crate) fn handle_turn(&mut self, now: Instant) {
        self.lan.handle_turn(now);
        self.egresses.handle_timeout(now, &mut self.lan);
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<(Instant, &'static str)> {
        [self.lan.poll_timeout(), self.egresses.poll_timeout()].into_iter().flatten().min()
    }
}

impl Deref for Machine {
    type Target = Lan;

    fn deref(&self) -> &Lan {
        &self.lan
    }
}

impl DerefMut for Machine {
    fn deref_mut(&mut self) -> &mut Lan {
        &mut self.lan
    }
}

/// What happened to a flow, or a query for the outside.
pub(crate) enum Event {
    Flow(FlowEvent),
    Query(QueryId),
}

/// A port that has frames.
pub(crate) fn poll_place(machine: &mut Machine) -> Option<Place> {
    machine.poll_port()
}

/// Moves what the machine tells out of it; what concerns a flow of an egress is the egress's.
pub(crate) fn collect_events(instance: &mut Instance) {
    let now = instance.latest;
    if let Some(machine) = &mut instance.machine {
        let Machine { lan, egresses, .. } = &mut **machine;
        while let Some(event) = lan.poll_event() {
            if !egresses.handle_event(now, lan, &event) {
                instance.events.push_back(Event::Flow(event));
            }
        }
        while let Some(query) = lan.poll_query() {
            instance.events.push_back(Event::Query(query.id));
        }
    }
}

pub(crate) fn encode(event: &Event) -> EventWords {
    match event {
        Event::Flow(event) => flow_event(event),
        Event::Query(id) => {
            let bits = id.to_bits();
            [10, bits as u32, (bits >> 32) as u32, 0, 0, 0, 0, 0, 0, 0]
        }
    }
}
