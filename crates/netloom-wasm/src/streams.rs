//! TCP: listeners and connections.

use core::net::SocketAddr;

use netloom_core::flow::ListenerId;
use netloom_core::host::{BindError, Host, OpenError, StreamOptions};
use netloom_core::{Duration, FlowId, Instant};

use crate::boundary::{Instance, octets, pointer, socket_address, with, with_host, with_host_at};

/// Where the second address of a call stands in the arena.
pub(crate) const SECOND_ADDRESS: usize = 16;

pub(crate) const OK: u32 = 0;
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

fn options(no_delay: u32, keepalive_us: f64, receive_bytes: u32, send_bytes: u32) -> StreamOptions {
    StreamOptions {
        nagle: no_delay == 0,
        keepalive: (keepalive_us > 0.0).then(|| Duration::from_micros(keepalive_us as u64)),
        receive_buffer_bytes: receive_bytes as usize,
        send_buffer_bytes: send_bytes as usize,
    }
}

const fn flow(index: u32, generation: u32) -> FlowId {
    FlowId::from_bits((generation as u64) << 32 | index as u64)
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
            let Some(host) = &mut instance.host else { return NO_PORT };
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
        with_host((), |host| host.close_listener(listener(index, generation)));
    }

    /// Accepts a connection: 1 and words index, generation, ports and families of both ends, and the arena both addresses; or 0.
    fn accept(index: u32, generation: u32) -> u32 {
        with(|instance| {
            let Some(flow) = instance.host.as_mut().and_then(|host| host.accept(listener(index, generation))) else { return 0 };
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
            let Some(host) = &mut instance.host else { return NO_ROUTE };
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

    /// Changes a connection's options.
    fn set_options(
        now_us: f64,
        index: u32,
        generation: u32,
        no_delay: u32,
        keepalive_us: f64,
        receive_bytes: u32,
        send_bytes: u32,
    ) {
        let options = options(no_delay, keepalive_us, receive_bytes, send_bytes);
        with_host_at(now_us, (), |host, now| host.set_options(now, flow(index, generation), options));
    }

    /// What was received and not taken: how much; words: pointer and length of each of two parts.
    fn peek(index: u32, generation: u32) -> u32 {
        with(|instance| {
            let Some(host) = &instance.host else { return 0 };
            let [first, second] = host.peek(flow(index, generation));
            instance.words[..4].copy_from_slice(&[
                pointer(first),
                first.len() as u32,
                pointer(second),
                second.len() as u32,
            ]);
            (first.len() + second.len()) as u32
        })
    }

    /// The first bytes of what was received are done with.
    fn take(now_us: f64, index: u32, generation: u32, bytes: u32) {
        with_host_at(now_us, (), |host, now| host.take(now, flow(index, generation), bytes as usize));
    }

    /// How much `write` would take.
    fn room(index: u32, generation: u32) -> u32 {
        with_host(0, |host| host.room(flow(index, generation)) as u32)
    }

    /// Sends bytes that begin the arena; how many were taken.
    fn write(now_us: f64, index: u32, generation: u32, bytes: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let bytes = instance.arena.get(..bytes as usize).unwrap_or_default();
            instance.host.as_mut().map_or(0, |host| host.write(now, flow(index, generation), bytes) as u32)
        })
    }

    /// Sends no more after what was written.
    fn fin(now_us: f64, index: u32, generation: u32) {
        on_flow(now_us, index, generation, Host::fin);
    }

    /// Sends no more, and drops what still arrives.
    fn close_flow(now_us: f64, index: u32, generation: u32) {
        on_flow(now_us, index, generation, Host::close);
    }

    /// Breaks a connection off.
    fn reset(index: u32, generation: u32) {
        with_host((), |host| host.reset(flow(index, generation)));
    }
}

fn on_flow(now_us: f64, index: u32, generation: u32, call: impl FnOnce(&mut Host, Instant, FlowId)) {
    with_host_at(now_us, (), |host, now| call(host, now, flow(index, generation)));
}

/// An unspecified address is of the target's family.
pub(crate) fn local_address(arena: &[u8], family: u32, port: u32, target: SocketAddr) -> SocketAddr {
    match (family, target) {
        (0, SocketAddr::V6(_)) => SocketAddr::new(core::net::Ipv6Addr::UNSPECIFIED.into(), port as u16),
        _ => socket_address(arena, family, port),
    }
}

pub(crate) const fn flow_parts(flow: FlowId) -> (u32, u32) {
    let bits = flow.to_bits();
    (bits as u32, (bits >> 32) as u32)
}

pub(crate) fn leave_id(words: &mut [u32], (index, generation): (u32, u32)) {
    words[0] = index;
    words[1] = generation;
}

fn leave_addresses(instance: &mut Instance, flow: FlowId) {
    let Some((local, remote)) = instance.host.as_ref().and_then(|host| host.ends(flow)) else { return };
    for (end, address) in [local, remote].into_iter().enumerate() {
        let (family, octets) = octets(address.ip());
        instance.words[2 + end] = address.port().into();
        instance.words[4 + end] = family.into();
        instance.arena[end * SECOND_ADDRESS..][..16].copy_from_slice(&octets);
    }
}
