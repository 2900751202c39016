//! Start, and the time of day.

use netloom_core::{Duration, Lan};

use super::Machine;
use super::settings::{Numbers, parse};
use crate::boundary::{with, with_machine_at};
use crate::lifecycle::begin;

/// Length of the seed, behind which the settings stand.
const SEED_BYTES: usize = 32;

exports! {
    /// Makes the LAN; 1, or 0 if the settings are not understood. The first 32 bytes of the arena are the seed: secret and fresh; behind it are
    /// so many bytes of settings, as `settings` reads them. `flags`: 1 gateway, 2 DHCP, 4 DNS, 8 DNS to every address, 16 NTP, 32 all pings are
    /// answered.
    fn start(
        flags: u32,
        mtu: u32,
        lease_s: f64,
        dns_timeout_us: f64,
        dial_timeout_us: f64,
        idle_us: f64,
        flows_per_guest: u32,
        buffer_bytes: f64,
        settings_bytes: u32,
    ) -> u32 {
        let numbers = Numbers {
            flags,
            mtu: mtu as u16,
            lease: Duration::from_secs(lease_s as u64),
            dns_timeout: Duration::from_micros(dns_timeout_us as u64),
            dial_timeout: Duration::from_micros(dial_timeout_us as u64),
            datagram_idle: Duration::from_micros(idle_us as u64),
            flows_per_guest: flows_per_guest as usize,
            buffer_bytes: buffer_bytes as usize,
        };
        with(|instance| {
            let settings = instance.arena[SEED_BYTES..].get(..settings_bytes as usize).unwrap_or_default();
            let Some(config) = parse(&numbers, settings) else { return 0 };
            begin(instance, |seed| Machine::new(Lan::new(config, seed)));
            1
        })
    }

    /// Tells the time of day for NTP: microseconds since the Unix epoch.
    fn set_wall_clock(now_us: f64, unix_us: f64) {
        with_machine_at(now_us, (), |lan, now| lan.set_wall_clock(now, unix_us as u64));
    }
}
