//! Connections, whoever opened them.

use netloom_core::{Duration, FlowId, Instant as Time, StreamOptions};

use crate::boundary::{Instance, Machine, leave_address, pointer, with, with_machine, with_machine_at};

/// Where the second address of a call stands in the arena.
pub(crate) const SECOND_ADDRESS: usize = 16;

pub(crate) const OK: u32 = 0;
pub(crate) fn options(
    no_delay: u32,
    keepalive_us: f64,
    receive_bytes: u32,
    send_bytes: u32,
) -> StreamOptions {
    StreamOptions {
        nagle: no_delay == 0,
        keepalive: (keepalive_us > 0.0).then(|| Duration::from_micros(keepalive_us as u64)),
        receive_buffer_bytes: receive_bytes as usize,
        send_buffer_bytes: send_bytes as usize,
    }
}

pub(crate) const fn flow(index: u32, generation: u32) -> FlowId {
    FlowId::from_bits((generation as u64) << 32 | index as u64)
}

exports! {
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
        with_machine_at(now_us, (), |machine, now| machine.set_options(now, flow(index, generation), options));
    }

    /// What was received and not taken: how much; words: pointer and length of each of two parts.
    fn peek(index: u32, generation: u32) -> u32 {
        with(|instance| {
            let Some(machine) = &instance.machine else { return 0 };
            let [first, second] = machine.peek(flow(index, generation));
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
        with_machine_at(now_us, (), |machine, now| machine.take(now, flow(index, generation), bytes as usize));
    }

    /// How much `write` would take.
    fn room(index: u32, generation: u32) -> u32 {
        with_machine(0, |machine| machine.room(flow(index, generation)) as u32)
    }

    /// Sends bytes that begin the arena; how many were taken.
    fn write(now_us: f64, index: u32, generation: u32, bytes: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let bytes = instance.arena.get(..bytes as usize).unwrap_or_default();
            instance.machine.as_mut().map_or(0, |machine| machine.write(now, flow(index, generation), bytes) as u32)
        })
    }

    /// Sends no more after what was written.
    fn fin(now_us: f64, index: u32, generation: u32) {
        on_flow(now_us, index, generation, |machine, now, id| machine.fin(now, id));
    }

    /// Sends no more, and drops what still arrives.
    fn close_flow(now_us: f64, index: u32, generation: u32) {
        on_flow(now_us, index, generation, |machine, now, id| machine.close(now, id));
    }

    /// Breaks a connection off.
    fn reset(index: u32, generation: u32) {
        with_machine((), |machine| machine.reset(flow(index, generation)));
    }
}

fn on_flow(now_us: f64, index: u32, generation: u32, call: impl FnOnce(&mut Machine, Time, FlowId)) {
    with_machine_at(now_us, (), |machine, now| call(machine, now, flow(index, generation)));
}

pub(crate) const fn flow_parts(flow: FlowId) -> (u32, u32) {
    let bits = flow.to_bits();
    (bits as u32, (bits >> 32) as u32)
}

pub(crate) fn leave_id(words: &mut [u32], (index, generation): (u32, u32)) {
    words[0] = index;
    words[1] = generation;
}

/// Leaves the ports and families of both ends, the machine's first, as words 2 to 5, and their addresses in the arena.
pub(crate) fn leave_addresses(instance: &mut Instance, flow: FlowId) {
    let Some((local, remote)) = instance.machine.as_ref().and_then(|machine| machine.ends(flow)) else {
        return;
    };
    for (end, address) in [local, remote].into_iter().enumerate() {
        instance.words[2 + end] = address.port().into();
        instance.words[4 + end] = leave_address(&mut instance.arena[end * SECOND_ADDRESS..], address.ip());
    }
}
