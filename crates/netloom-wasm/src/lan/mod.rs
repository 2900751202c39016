//! A LAN: ports, the flows that guests open, and DNS queries for the outside.

pub mod flows;
pub mod lifecycle;
pub mod neighbors;
pub mod ports;
pub mod queries;
mod settings;

pub(crate) use netloom_core::Lan as Machine;
use netloom_core::{Event as FlowEvent, QueryId};

use crate::boundary::Instance;
use crate::events::{EventWords, flow_event};

/// What happened to a flow, or a query for the outside.
pub(crate) enum Event {
    Flow(FlowEvent),
    Query(QueryId),
}

/// Moves what the machine tells out of it.
pub(crate) fn collect_events(instance: &mut Instance) {
    if let Some(lan) = &mut instance.machine {
        while let Some(event) = lan.poll_event() {
            instance.events.push_back(Event::Flow(event));
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
