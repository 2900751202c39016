//! The switch: who gets a frame and who does not (IEEE 802.1D learning bridge, and the MAC rule of the machine).

use core::net::Ipv4Addr;

use netloom_core::{Drop, Duration, MAX_FRAME_BYTES, MacAddr, PortConfig, PortId};
use netloom_sim::Probe;
use netloom_sim::packet::{Packet, arp, ethernet, read};
use netloom_sim::world::{GATEWAY, GATEWAY_MAC, guest_address, guest_mac, lan_config};

/// An ethertype that the gateway has no part in.
const OTHER: u16 = 0x88b5;

fn three_ports() -> (Probe, [PortId; 3]) {
    let mut probe = Probe::new(lan_config(1500));
    let ports = [(); 3].map(|()| probe.port());
    (probe, ports)
}

fn frame(to: MacAddr, from: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(to, guest_mac(from), OTHER, payload)
}

/// Sends, and says at which of the ports the frame came out.
fn reaches(probe: &mut Probe, ports: &[PortId], from: PortId, frame: &[u8]) -> Vec<usize> {
    for port in ports {
        probe.receive(*port);
    }
    probe.send(from, frame);
    let got = |probe: &mut Probe, port: PortId| probe.receive(port).iter().filter(|f| *f == frame).count();
    (0..ports.len()).flat_map(|n| vec![n; got(probe, ports[n])]).collect()
}

#[test]
fn broadcast_multicast_and_unknown_unicast_reach_everyone_but_the_sender() {
    let (mut probe, ports) = three_ports();
    for to in [
        MacAddr::BROADCAST,
        MacAddr([1, 0, 0x5e, 0, 0, 251]),
        MacAddr([0x33, 0x33, 0, 0, 0, 1]),
        guest_mac(77),
    ] {
        assert_eq!(reaches(&mut probe, &ports, ports[1], &frame(to, 1, b"all")), [0, 2], "{to}");
    }
}

#[test]
fn a_known_address_is_reached_alone() {
    let (mut probe, ports) = three_ports();
    probe.send(ports[2], &frame(MacAddr::BROADCAST, 2, b"here"));
    assert_eq!(reaches(&mut probe, &ports, ports[0], &frame(guest_mac(2), 0, b"you")), [2]);
    assert_eq!(probe.lan.port_of(guest_mac(2)), Some(ports[2]));
    assert_eq!(probe.lan.port_of(guest_mac(0)), Some(ports[0]));
}

#[test]
fn many_addresses_on_one_port_and_no_way_back_to_it() {
    let (mut probe, ports) = three_ports();
    for n in 10..20 {
        probe.send(ports[0], &frame(MacAddr::BROADCAST, n, b"here"));
    }
    for n in 10..20 {
        assert_eq!(reaches(&mut probe, &ports, ports[1], &frame(guest_mac(n), 1, b"you")), [0]);
    }
    let before = probe.dropped(Drop::Hairpin);
    assert_eq!(reaches(&mut probe, &ports, ports[0], &frame(guest_mac(11), 10, b"beside")), []);
    assert_eq!(probe.dropped(Drop::Hairpin), before + 1);
}

#[test]
fn every_ethertype_passes() {
    let (mut probe, ports) = three_ports();
    // IPX, AppleTalk, AARP, IPv6, VLAN, LLDP, PPPoE, and an 802.3 length with LLC behind it.
    for ethertype in [0x8137, 0x809b, 0x80f3, 0x86dd, 0x8100, 0x88cc, 0x8863, 0x0026] {
        let frame = ethernet(MacAddr::BROADCAST, guest_mac(0), ethertype, &[0x42; 46]);
        assert_eq!(reaches(&mut probe, &ports, ports[0], &frame), [1, 2], "{ethertype:04x}");
    }
}

#[test]
fn odd_sizes_pass_and_impossible_ones_are_counted() {
    let mut probe = Probe::new(lan_config(1500));
    let big = PortConfig { mtu: 65_535, queue_bytes: 1 << 20, ..PortConfig::default() };
    let ports = [(); 2].map(|()| probe.lan.open_port(big));
    for payload in [0, 1, 45, 46, 1500, 1501, 17_000, 65_535] {
        let frame = frame(MacAddr::BROADCAST, 0, &vec![9; payload]);
        assert_eq!(reaches(&mut probe, &ports, ports[0], &frame), [1], "{payload}");
    }
    for (bytes, why) in [
        (0, Drop::FrameTooShort),
        (1, Drop::FrameTooShort),
        (13, Drop::FrameTooShort),
        (MAX_FRAME_BYTES + 1, Drop::FrameTooLong),
        (70_000, Drop::FrameTooLong),
    ] {
        let before = probe.dropped(why);
        probe.send(ports[0], &vec![0x02; bytes]);
        assert_eq!(probe.dropped(why), before + 1, "{bytes}");
        assert!(probe.receive(ports[1]).is_empty());
    }
}

#[test]
fn impossible_sources_are_counted() {
    let (mut probe, ports) = three_ports();
    for source in [MacAddr::BROADCAST, MacAddr([0; 6]), MacAddr([1, 0, 0x5e, 0, 0, 1])] {
        let before = probe.dropped(Drop::SourceInvalid);
        let frame = ethernet(MacAddr::BROADCAST, source, OTHER, b"from nowhere");
        assert_eq!(reaches(&mut probe, &ports, ports[0], &frame), []);
        assert_eq!(probe.dropped(Drop::SourceInvalid), before + 1, "{source}");
    }
}

#[test]
fn the_receiving_port_has_the_last_word_on_size() {
    let mut probe = Probe::new(lan_config(1500));
    let wide = probe.lan.open_port(PortConfig { mtu: 9000, ..PortConfig::default() });
    let narrow = probe.lan.open_port(PortConfig { mtu: 576, ..PortConfig::default() });
    let ports = [wide, narrow];
    assert_eq!(reaches(&mut probe, &ports, wide, &frame(MacAddr::BROADCAST, 0, &[1; 576])), [1]);
    assert_eq!(probe.dropped(Drop::PortMtu), 0);
    assert_eq!(reaches(&mut probe, &ports, wide, &frame(MacAddr::BROADCAST, 0, &[1; 577])), []);
    assert_eq!(probe.dropped(Drop::PortMtu), 1);
    assert_eq!(reaches(&mut probe, &ports, narrow, &frame(MacAddr::BROADCAST, 1, &[1; 9000])), [0]);
}

#[test]
fn a_vlan_tag_does_not_count_against_the_mtu() {
    let (mut probe, ports) = three_ports();
    let tagged = ethernet(MacAddr::BROADCAST, guest_mac(0), 0x8100, &[7; 1504]);
    assert_eq!(reaches(&mut probe, &ports, ports[0], &tagged), [1, 2]);
}

#[test]
fn an_isolated_port_meets_no_other_guest() {
    let mut probe = Probe::new(lan_config(1500));
    let alone = probe.lan.open_port(PortConfig { isolated: true, ..PortConfig::default() });
    let ports = [alone, probe.port(), probe.port()];
    assert_eq!(reaches(&mut probe, &ports, alone, &frame(MacAddr::BROADCAST, 0, b"anyone")), []);
    assert_eq!(reaches(&mut probe, &ports, ports[1], &frame(MacAddr::BROADCAST, 1, b"anyone")), [2]);
    assert_eq!(reaches(&mut probe, &ports, ports[1], &frame(guest_mac(0), 1, b"you")), []);
    assert_eq!(reaches(&mut probe, &ports, alone, &frame(guest_mac(1), 0, b"you")), []);
    assert!(probe.dropped(Drop::Isolated) >= 3);
}

#[test]
fn an_address_in_use_elsewhere_is_refused_and_a_silent_one_moves() {
    let (mut probe, ports) = three_ports();
    probe.send(ports[0], &frame(MacAddr::BROADCAST, 5, b"mine"));
    probe.advance(Duration::from_millis(500));
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"mine too"));
    assert_eq!(probe.dropped(Drop::MacClaimed), 1);
    assert_eq!(probe.lan.port_of(guest_mac(5)), Some(ports[0]));
    // The old port stays silent: the address may have moved with its guest.
    probe.advance(Duration::from_millis(2500));
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"now mine"));
    assert_eq!(probe.lan.port_of(guest_mac(5)), Some(ports[1]));
    assert_eq!(reaches(&mut probe, &ports, ports[2], &frame(guest_mac(5), 2, b"you")), [1]);
}

#[test]
fn a_silent_address_of_a_port_that_is_held_stays_there() {
    let (mut probe, ports) = three_ports();
    probe.send(ports[0], &frame(MacAddr::BROADCAST, 5, b"mine"));
    // Asked before the port was held; what is held then does not count as silence.
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"mine too"));
    probe.lan.hold_macs(ports[0], true);
    for round in 2..5 {
        probe.advance(Duration::from_secs(3));
        probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"now mine"));
        assert_eq!(probe.lan.port_of(guest_mac(5)), Some(ports[0]));
        assert_eq!(probe.dropped(Drop::MacClaimed), round);
    }
    // The next one counts as the first that was heard of.
    probe.lan.hold_macs(ports[0], false);
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"now mine"));
    assert_eq!(probe.lan.port_of(guest_mac(5)), Some(ports[0]));
    probe.advance(Duration::from_secs(3));
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"now mine"));
    assert_eq!(probe.lan.port_of(guest_mac(5)), Some(ports[1]));
}

#[test]
fn who_waited_for_a_port_that_is_held_has_its_addresses_once_it_is_closed() {
    let (mut probe, ports) = three_ports();
    probe.send(ports[0], &frame(MacAddr::BROADCAST, 5, b"mine"));
    probe.lan.hold_macs(ports[0], true);
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"mine too"));
    probe.lan.close_port(ports[0]);
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"now mine"));
    assert_eq!(probe.lan.port_of(guest_mac(5)), Some(ports[1]));
    // A port of the same number is held no longer.
    assert_eq!(probe.port(), ports[0]);
    probe.send(ports[0], &frame(MacAddr::BROADCAST, 6, b"mine"));
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 6, b"mine too"));
    probe.advance(Duration::from_secs(3));
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 6, b"now mine"));
    assert_eq!(probe.lan.port_of(guest_mac(6)), Some(ports[1]));
}

#[test]
fn the_owner_of_a_claimed_address_is_asked_and_its_answer_keeps_it() {
    let (mut probe, ports) = three_ports();
    let address = guest_address(5);
    let here = arp(1, (guest_mac(5), address), (MacAddr::default(), GATEWAY));
    probe.send(ports[0], &ethernet(MacAddr::BROADCAST, guest_mac(5), 0x0806, &here));
    for round in 1..=3 {
        probe.receive(ports[0]);
        probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"mine too"));
        probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"mine, I say"));
        let asked = probe.receive(ports[0]);
        assert_eq!(asked.len(), 1, "asked once: {asked:02x?}");
        assert_eq!(asked[0][..6], guest_mac(5).0);
        let Ok(Packet::Arp(1, mac, sender, target)) = read(&asked[0], true) else { panic!("{asked:02x?}") };
        assert_eq!((mac, sender, target), (GATEWAY_MAC, Ipv4Addr::UNSPECIFIED, address));
        let answer = arp(2, (guest_mac(5), address), (GATEWAY_MAC, Ipv4Addr::UNSPECIFIED));
        probe.send(ports[0], &ethernet(GATEWAY_MAC, guest_mac(5), 0x0806, &answer));
        probe.advance(Duration::from_secs(3));
        assert_eq!(probe.dropped(Drop::MacClaimed), 2 * round);
    }
    assert_eq!(probe.lan.port_of(guest_mac(5)), Some(ports[0]));
}

#[test]
fn a_closed_port_gives_up_its_addresses_at_once() {
    let (mut probe, ports) = three_ports();
    probe.send(ports[0], &frame(MacAddr::BROADCAST, 5, b"mine"));
    probe.lan.close_port(ports[0]);
    assert_eq!(probe.lan.port_of(guest_mac(5)), None);
    probe.send(ports[1], &frame(MacAddr::BROADCAST, 5, b"mine"));
    assert_eq!(probe.lan.port_of(guest_mac(5)), Some(ports[1]));
    assert_eq!(probe.dropped(Drop::MacClaimed), 0);
}

#[test]
fn nobody_takes_the_gateways_address() {
    let (mut probe, ports) = three_ports();
    let config = lan_config(1500);
    let thief = ethernet(MacAddr::BROADCAST, config.gateway_mac, OTHER, b"I am the gateway");
    assert_eq!(reaches(&mut probe, &ports, ports[0], &thief), []);
    assert_eq!(probe.dropped(Drop::MacClaimed), 1);
}

#[test]
fn addresses_per_port_and_queued_bytes_are_bounded() {
    let mut probe = Probe::new(lan_config(1500));
    let few = probe.lan.open_port(PortConfig { macs: 4, ..PortConfig::default() });
    let slow = probe.lan.open_port(PortConfig { queue_bytes: 10_000, ..PortConfig::default() });
    for n in 0..10 {
        probe.send(few, &frame(MacAddr::BROADCAST, n, &[0; 1000]));
    }
    assert_eq!(probe.dropped(Drop::MacTableFull), 6);
    assert_eq!(probe.receive(slow).len(), 4);
    for _ in 0..100 {
        probe.send(few, &frame(MacAddr::BROADCAST, 1, &[0; 1000]));
    }
    let waited = probe.receive(slow).len();
    assert!((8..=10).contains(&waited), "{waited} frames of 1014 bytes in 10,000");
    assert_eq!(probe.dropped(Drop::QueueFull), 100 - waited as u64);
}
