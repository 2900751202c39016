//! Start, time and panics.

use core::cell::RefCell;
use core::mem::ManuallyDrop;
use std::panic;

use netloom_core::host::{Host, HostConfig};
use netloom_core::{Congestion, Duration};

use crate::boundary::{ARENA_BYTES, Instance, WORDS, pointer, with, with_host, with_host_at};

thread_local! {
    /// The message of the panic that ended the instance.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

exports! {
    /// Where the arena is. It never moves, but the memory that holds it may grow.
    fn arena() -> u32 {
        with(|instance| pointer(&instance.arena))
    }

    /// How long the arena is.
    fn arena_bytes() -> u32 {
        ARENA_BYTES as u32
    }

    /// Where the words are.
    fn words() -> u32 {
        with(|instance| instance.words.as_ptr() as usize as u32)
    }

    /// How many words there are.
    fn words_length() -> u32 {
        WORDS as u32
    }

    /// Makes the host. The first 32 bytes of the arena are the seed: secret and fresh.
    fn start(forwarding: u32, timestamps: u32, cubic: u32, rto_min_us: f64, buffer_bytes: f64) {
        panic::set_hook(Box::new(|info| {
            PANIC.with_borrow_mut(|message| *message = info.to_string());
        }));
        with(|instance| {
            let mut seed = [0; 32];
            seed.copy_from_slice(&instance.arena[..32]);
            instance.arena[..32].fill(0);
            let config = HostConfig {
                forwarding: forwarding > 0,
                buffer_bytes: buffer_bytes as usize,
                timestamps: timestamps > 0,
                congestion: if cubic > 0 { Congestion::Cubic } else { Congestion::Reno },
                rto_min: Duration::from_micros(rto_min_us as u64),
            };
            instance.host = Some(ManuallyDrop::new(Host::new(config, seed)));
        });
    }

    /// Where the message of the panic is that ended the instance.
    fn panic_pointer() -> u32 {
        PANIC.with_borrow(|message| pointer(message.as_bytes()))
    }

    /// How long that message is; 0 without a panic.
    fn panic_length() -> u32 {
        PANIC.with_borrow(|message| message.len() as u32)
    }

    /// Acts on deadlines that have passed.
    fn handle_timeout(now_us: f64) {
        with_host_at(now_us, (), Host::handle_timeout);
        with(Instance::collect_events);
    }

    /// The next deadline, or a negative number if there is none.
    fn poll_timeout() -> f64 {
        with_host(None, Host::poll_timeout).map_or(-1.0, |(at, _reason)| at.as_us() as f64)
    }

    /// Carries a frame on a loopback interface: where it is, or 0 if there was none. Words: its length, the interface, and 1 if more wait. The
    /// packet begins after 14 bytes.
    fn show_loopback(now_us: f64) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let more = instance.host.as_mut().is_some_and(|host| host.run_loopback(now, 1));
            instance.collect_events();
            instance.words[2] = more.into();
            let Some((interface, frame)) = instance.host.as_ref().and_then(|host| host.looped()) else { return 0 };
            instance.words[0] = frame.len() as u32;
            instance.words[1] = interface.number();
            pointer(frame)
        })
    }

    /// Carries up to `budget_frames` frames on loopback interfaces; 1 if more wait.
    fn run_loopback(now_us: f64, budget_frames: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let mut more = true;
            for _ in 0..budget_frames {
                more = instance.host.as_mut().is_some_and(|host| host.run_loopback(now, 1));
                instance.collect_events();
                if !more {
                    break;
                }
            }
            u32::from(more)
        })
    }
}
