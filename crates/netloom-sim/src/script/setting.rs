//! The machine that a script runs on, as its `set` lines say.

use netloom_core::{Congestion, Duration, Instant, Lan, LanConfig, MacAddr, PortConfig, PortId};

use super::{Act, Script};
use crate::packet::{arp, ethernet};
use crate::world::{GATEWAY, guest_address, guest_mac, lan_config};

/// Headers of IPv4 and TCP without options.
const HEADERS_BYTES: u16 = 40;

/// A LAN with its guest known, at this time.
pub(super) fn lan(script: &Script, now: Instant) -> Result<(Lan, PortId), String> {
    let mut config = lan_config(1000 + HEADERS_BYTES);
    config.nagle = true;
    config.timestamps = false;
    config.congestion = Congestion::Reno;
    let mut port = PortConfig { mtu: config.mtu, ..PortConfig::default() };
    for step in &script.steps {
        if let Act::Set(name, value) = &step.act {
            set(&mut config, &mut port, name, *value)?;
        }
    }
    let mut lan = Lan::new(config, [7; 32]);
    let port = lan.open_port(port);
    let known = arp(1, (guest_mac(0), guest_address(0)), (MacAddr::default(), GATEWAY));
    lan.handle_frame(now, port, &ethernet(MacAddr::BROADCAST, guest_mac(0), 0x0806, &known));
    Ok((lan, port))
}

fn set(config: &mut LanConfig, port: &mut PortConfig, name: &str, value: u64) -> Result<(), String> {
    let limits = &mut config.limits;
    let size = value as usize;
    match name {
        "mss" => (config.mtu, port.mtu) = (value as u16 + HEADERS_BYTES, value as u16 + HEADERS_BYTES),
        "mtu" => port.mtu = value as u16,
        "lan_mtu" => config.mtu = value as u16,
        "trusted" => port.trusted = value > 0,
        "nagle" => config.nagle = value > 0,
        "timestamps" => config.timestamps = value > 0,
        "rto_min" => config.rto_min = Duration::from_millis(value),
        "congestion" => {
            config.congestion = match value {
                0 => Congestion::Reno,
                1 => Congestion::Cubic,
                _ => Congestion::None,
            }
        }
        "burst" => port.burst = Some(value as u16),
        "receive_buffer_bytes" => limits.receive_buffer_bytes = size,
        "send_buffer_bytes" => limits.send_buffer_bytes = size,
        "lan_buffer_bytes" => limits.lan_buffer_bytes = size,
        "pending_dials_per_guest" => limits.pending_dials_per_guest = size,
        "flows_per_guest" => limits.flows_per_guest = size,
        "dial_timeout" => limits.dial_timeout = Duration::from_millis(value),
        _ => return Err(format!("there is no setting {name}")),
    }
    Ok(())
}
