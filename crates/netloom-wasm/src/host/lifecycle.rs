//! Start, and frames on loopback interfaces.

use netloom_core::host::{Host, HostConfig};
use netloom_core::{Congestion, Duration};

use super::collect_events;
use crate::boundary::{pointer, with};
use crate::lifecycle::begin;

exports! {
    /// Makes the host. The first 32 bytes of the arena are the seed: secret and fresh.
    fn start(forwarding: u32, timestamps: u32, cubic: u32, rto_min_us: f64, buffer_bytes: f64) {
        let config = HostConfig {
            forwarding: forwarding > 0,
            buffer_bytes: buffer_bytes as usize,
            timestamps: timestamps > 0,
            congestion: if cubic > 0 { Congestion::Cubic } else { Congestion::Reno },
            rto_min: Duration::from_micros(rto_min_us as u64),
        };
        with(|instance| begin(instance, |seed| Host::new(config, seed)));
    }

    /// Carries a frame on a loopback interface: where it is, or 0 if there was none. Words: its length, the interface, and 1 if more wait. The
    /// packet begins after 14 bytes.
    fn show_loopback(now_us: f64) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let more = instance.machine.as_mut().is_some_and(|host| host.run_loopback(now, 1));
            collect_events(instance);
            instance.words[2] = more.into();
            let Some((interface, frame)) = instance.machine.as_ref().and_then(|host| host.looped()) else { return 0 };
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
                more = instance.machine.as_mut().is_some_and(|host| host.run_loopback(now, 1));
                collect_events(instance);
                if !more {
                    break;
                }
            }
            u32::from(more)
        })
    }
}
