//! Target `frame`: one frame at a time into a LAN with two ports.
//!
//! The first byte says which port (bit 0), whether checksums are made right (bit 1) and whether ports are trusted (bit 2); the rest is
//! the frame. It must be forwarded as it came or answered by well-formed frames, and never panic.

use netloom_core::{Duration, Event, Instant, Lan, PortConfig, Refusal};
use netloom_sim::packet::{self, macs};
use netloom_sim::world::GATEWAY_MAC;

use crate::template;

/// Frames that one frame may cause: an ARP question, an answer, an error, and a copy for the other port.
const MAX_FRAMES_OUT: usize = 16;

/// Runs the target.
///
/// # Panics
/// If the machine breaks what is asserted.
pub fn run(data: &[u8]) {
    let Some((&how, frame)) = data.split_first() else { return };
    let mut frame = frame.to_vec();
    if how & 2 != 0 {
        template::repair(&mut frame);
    }
    let trusted = how & 4 != 0;
    let mut lan = Lan::new(template::lan_config(), [7; 32]);
    let ports = [(); 2].map(|()| lan.open_port(PortConfig { trusted, ..PortConfig::default() }));
    let mut now = Instant::from_us(1_000_000);
    let from = usize::from(how & 1);
    lan.handle_frame(now, ports[from], &frame);
    // Time enough for every answer, retry and time-out of one frame.
    for _ in 0..64 {
        let mut count = 0;
        while let Some(port) = lan.poll_port() {
            while let Some(out) = lan.poll_frame(now, port) {
                check(out, &frame, trusted, port == ports[from]);
                count += 1;
                assert!(count <= MAX_FRAMES_OUT, "one frame caused more than {MAX_FRAMES_OUT}");
            }
        }
        while let Some(event) = lan.poll_event() {
            if let Event::Open { id, .. } = event {
                lan.refuse(
                    now,
                    id,
                    [Refusal::Refused, Refusal::Unreachable, Refusal::Denied][frame.len() % 3],
                );
            }
        }
        while let Some(query) = lan.poll_query() {
            lan.handle_answer(now, query.id, None);
        }
        now += Duration::from_millis(500);
        lan.handle_timeout(now);
    }
}

fn check(out: &[u8], frame: &[u8], trusted: bool, same_port: bool) {
    if macs(out).is_some_and(|(_, source)| source == GATEWAY_MAC) {
        if let Err(what) = packet::read(out, !trusted) {
            panic!("the machine sent a bad frame, {what}: {out:02x?}");
        }
    } else {
        assert_eq!(out, frame, "a frame that is not the gateway's was changed");
        assert!(!same_port, "a frame was sent back to its port");
    }
}
