//! Connections of a host: listeners, and opening.

use core::net::SocketAddr;

use netloom_core::flow::ListenerId;
use netloom_core::host::{BindError, OpenError};

use crate::boundary::{socket_address, with, with_machine};
use crate::streams::{OK, SECOND_ADDRESS, flow_parts, leave_addresses, leave_id, options};

const IN_USE: u32 = 1;
const NOT_LOCAL: u32 = 2;
const NO_PORT: u32 = 3;
pub(crate) const NO_ROUTE: u32 = 4;

pub(crate) const fn bind_code(error: BindError) -> u32 {
    match error {
        BindError::InUse => IN_USE,
        BindError::NotLocal => NOT_LOCAL,
        BindError::NoPort => NO_PORT,
    }
}

const fn connect_code(error: OpenError) -> u32 {
    match error {
        OpenError::NoRoute => NO_ROUTE,
        OpenError::Local(error) => bind_code(error),
    }
}

const fn listener(index: u32, generation: u32) -> ListenerId {
    ListenerId::from_parts(index, generation)
}

exports! {
    /// Listens on the address that begins the arena; 0 or why not. Words: index, generation, port. `keepalive_us` 0 never asks.
    fn listen(
        family: u32,
        port: u32,
        backlog: u32,
        no_delay: u32,
        keepalive_us: f64,
        receive_bytes: u32,
        send_bytes: u32,
    ) -> u32 {
        with(|instance| {
            let local = socket_address(&instance.arena, family, port);
            let options = options(no_delay, keepalive_us, receive_bytes, send_bytes);
            let Some(host) = &mut instance.machine else { return NO_PORT };
            match host.listen(local, backlog as usize, options) {
                Ok((listener, port)) => {
                    leave_id(&mut instance.words, listener.to_parts());
                    instance.words[2] = port.into();
                    OK
                }
                Err(error) => bind_code(error),
            }
        })
    }

    /// Ends a listener; connections that were not accepted are reset.
    fn close_listener(index: u32, generation: u32) {
        with_machine((), |host| host.close_listener(listener(index, generation)));
    }

    /// Accepts a connection: 1 and words index, generation, ports and families of both ends, and the arena both addresses; or 0.
    fn accept(index: u32, generation: u32) -> u32 {
        with(|instance| {
            let Some(flow) = instance.machine.as_mut().and_then(|host| host.accept(listener(index, generation))) else { return 0 };
            leave_id(&mut instance.words, flow_parts(flow));
            leave_addresses(instance, flow);
            1
        })
    }

    /// Opens a connection from the address that begins the arena (family 0: any) to the one at byte 16; 0, and words as of `accept`, or why not.
    fn connect(
        now_us: f64,
        local_family: u32,
        local_port: u32,
        family: u32,
        port: u32,
        no_delay: u32,
        keepalive_us: f64,
        receive_bytes: u32,
        send_bytes: u32,
    ) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let target = socket_address(&instance.arena[SECOND_ADDRESS..], family, port);
            let local = local_address(&instance.arena, local_family, local_port, target);
            let options = options(no_delay, keepalive_us, receive_bytes, send_bytes);
            let Some(host) = &mut instance.machine else { return NO_ROUTE };
            match host.connect(now, local, target, options) {
                Ok(flow) => {
                    leave_id(&mut instance.words, flow_parts(flow));
                    leave_addresses(instance, flow);
                    OK
                }
                Err(error) => connect_code(error),
            }
        })
    }
}

/// An unspecified address is of the target's family.
pub(crate) fn local_address(arena: &[u8], family: u32, port: u32, target: SocketAddr) -> SocketAddr {
    match (family, target) {
        (0, SocketAddr::V6(_)) => SocketAddr::new(core::net::Ipv6Addr::UNSPECIFIED.into(), port as u16),
        _ => socket_address(arena, family, port),
    }
}
