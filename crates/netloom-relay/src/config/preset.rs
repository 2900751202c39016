//! LANs as other programs lay them out, for people and guests who come from there.

use super::error::ConfigError;
use super::input::LanInput;

/// A LAN of another program.
struct Preset {
    name: &'static str,
    subnet: &'static str,
    gateway_mac: Option<&'static str>,
    pool: Option<&'static str>,
    lease_s: Option<i64>,
    leases: &'static [&'static str],
}

const PRESETS: [Preset; 3] = [
    // c2w-net: its gateway's MAC, and the address of the container that was given the MAC of its `-mac`.
    Preset {
        name: "c2w",
        subnet: "192.168.127.0/24",
        gateway_mac: Some("5a:94:ef:e4:0c:dd"),
        pool: Some("192.168.127.2-192.168.127.253"),
        lease_s: Some(3600),
        leases: &["02:00:00:00:00:01=192.168.127.3"],
    },
    // The networks in v86 itself: `router_ip`, `router_mac` and, as the first of the pool, `vm_ip`.
    Preset {
        name: "v86",
        subnet: "192.168.86.0/24",
        gateway_mac: Some("52:54:00:01:02:03"),
        pool: None,
        lease_s: None,
        leases: &[],
    },
    // What websockproxy's image has dnsmasq lease.
    Preset {
        name: "websockproxy",
        subnet: "10.5.0.0/16",
        gateway_mac: None,
        pool: Some("10.5.0.2-10.5.254.254"),
        lease_s: Some(900),
        leases: &[],
    },
];

/// Fills in what the LAN's preset says and the LAN does not. Of a preset whose subnet is not taken, neither are its addresses.
pub(super) fn apply(input: LanInput) -> Result<LanInput, ConfigError> {
    let Some(named) = input.preset.clone() else { return Ok(input) };
    let Some(preset) = PRESETS.iter().find(|preset| preset.name == named.value) else {
        let known = PRESETS.map(|preset| preset.name).join(", ");
        return Err(named.wrong(format_args!("there is no preset `{}`; write one of {known}", named.value)));
    };
    let addressed = input.subnet.is_none();
    let preset = LanInput {
        subnet: Some(named.with(preset.subnet.to_owned())),
        gateway_mac: preset.gateway_mac.map(|mac| named.with(mac.to_owned())),
        pool: preset.pool.filter(|_| addressed).map(|pool| named.with(pool.to_owned())),
        lease_s: preset.lease_s.map(|seconds| named.with(seconds)),
        leases: preset
            .leases
            .iter()
            .filter(|_| addressed)
            .map(|lease| named.with((*lease).to_owned()))
            .collect(),
        ..LanInput::default()
    };
    Ok(input.or(&preset))
}
