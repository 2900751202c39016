//! A host: interfaces, routes, sockets and listeners.

pub mod connections;
pub mod datagrams;
pub mod interfaces;
pub mod lifecycle;
pub mod routes;

pub(crate) use netloom_core::host::{Event, Host as Machine};
pub(crate) use netloom_core::interface::InterfaceId as Place;

use crate::boundary::{Instance, octets};
use crate::events::{EventWords, flow_event};

/// An interface that has frames.
pub(crate) fn poll_place(host: &mut Machine) -> Option<Place> {
    host.poll_interface()
}

/// Moves what the machine tells out of it.
pub(crate) fn collect_events(instance: &mut Instance) {
    if let Some(host) = &mut instance.machine {
        while let Some(event) = host.poll_event() {
            instance.events.push_back(event);
        }
    }
}

pub(crate) fn encode(event: &Event) -> EventWords {
    let (kind, (index, generation)) = match *event {
        Event::Flow(event) => return flow_event(&event),
        Event::Accepted { listener } => (0, listener.to_parts()),
        Event::Datagram { socket } => (7, socket.to_parts()),
        Event::Undelivered { socket, .. } => (8, socket.to_parts()),
    };
    let mut words = [kind, index, generation, 0, 0, 0, 0, 0, 0, 0];
    if let Event::Undelivered { target, refused, .. } = *event {
        let (family, octets) = octets(target.ip());
        words[3..6].copy_from_slice(&[refused.into(), target.port().into(), family.into()]);
        for (word, bytes) in words[6..].iter_mut().zip(octets.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
    }
    words
}
