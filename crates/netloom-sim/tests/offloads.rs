//! A port with offloads: what its guest says of checksums holds for what arrives, not for what is answered.

use netloom_core::{Checksum, Drop, Offload, PortConfig, PortId};
use netloom_sim::Probe;
use netloom_sim::packet::{icmp, ip_frame, read};
use netloom_sim::world::{GATEWAY, GATEWAY_MAC, guest_address, guest_mac, lan_config};

const ICMP: u8 = 1;
const VERIFIED: Offload = Offload { checksum: Checksum::Verified, segment_bytes: 0 };

/// An echo request of the first guest.
fn ping() -> Vec<u8> {
    let addresses = (guest_address(0).into(), GATEWAY.into());
    ip_frame((guest_mac(0), GATEWAY_MAC), addresses, ICMP, &icmp(8, 0, 1, b"still there?"))
}

fn probe() -> (Probe, PortId) {
    let mut probe = Probe::new(lan_config(1500));
    let port = probe.lan.open_port(PortConfig { offloads: true, ..PortConfig::default() });
    (probe, port)
}

#[test]
fn what_answers_a_verified_packet_has_its_checksums() {
    let (mut probe, port) = probe();
    let now = probe.now();
    probe.lan.handle_offloaded(now, port, &ping(), VERIFIED);
    let (frame, offload) = probe.lan.poll_offloaded(now, port).expect("an answer");
    assert_eq!(offload, Offload::default());
    assert!(read(frame, true).is_ok(), "{:?}", read(frame, true));
}

#[test]
fn a_verified_transport_does_not_vouch_for_the_header_of_ip() {
    let (mut probe, port) = probe();
    let now = probe.now();
    let mut frame = ping();
    frame[24] ^= 1;
    probe.lan.handle_offloaded(now, port, &frame, VERIFIED);
    assert!(probe.lan.poll_offloaded(now, port).is_none());
    assert_eq!(probe.lan.drops().of(Drop::Ipv4Malformed), 1, "{:?}", probe.lan.drops());
}
