//! Connections of hosts.

use netloom_core::host::{BindError, Event, OpenError};
use netloom_core::interface::Medium;
use netloom_core::{Duration, Event as Told, ResetReason};

use super::net::{Net, OPTIONS, any, at};

#[test]
fn connections_carry_bytes_both_ways_over_a_tap_a_tun_and_loopback() {
    for mtu in [68, 576, 1500, 9000, 65_535] {
        let mut net = Net::new(2);
        net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), mtu);
        let (a, b) = net.connect(0, 1, at("10.0.0.2:80"));
        let bytes = if mtu == 68 { 20_000 } else { 1_000_000 };
        net.carry((0, a), (1, b), bytes);
        net.carry((1, b), (0, a), bytes);
        assert_eq!(net.hosts[0].ends(a).unwrap().1, at("10.0.0.2:80"));
        assert_eq!(net.hosts[1].ends(b).unwrap().0, at("10.0.0.2:80"));
    }
    let mut net = Net::new(2);
    let a = net.open(0, Medium::Tun, 1500, &["10.1.0.1/30"]);
    let b = net.open(1, Medium::Tun, 1500, &["10.1.0.2/30"]);
    net.join((0, a), (1, b));
    let (a, b) = net.connect(0, 1, at("10.1.0.2:80"));
    net.carry((0, a), (1, b), 1_000_000);
    let mut net = Net::new(1);
    net.open(0, Medium::Loopback, 65_535, &["127.0.0.1/8", "::1/128"]);
    net.open(0, Medium::Tap, 1500, &["10.0.0.1/24", "fd00::1/64"]);
    for (port, target) in ["127.0.0.1", "127.9.9.9", "10.0.0.1", "[::1]", "[fd00::1]"].iter().enumerate() {
        let target = at(&format!("{target}:{}", 1000 + port));
        let (listener, _) = net.hosts[0].listen(any(target.port()), 1, OPTIONS).unwrap();
        let a = net.hosts[0].connect(net.now, any(0), target, OPTIONS).unwrap();
        net.settle();
        let drops: Vec<_> = net.hosts[0].drops().nonzero().collect();
        let b = net.hosts[0].accept(listener).unwrap_or_else(|| panic!("{target}: {drops:?}"));
        net.carry((0, a), (0, b), 300_000);
        net.carry((0, b), (0, a), 300_000);
    }
    assert!(net.seen.is_empty(), "what is for the host itself does not leave it");
}

#[test]
fn ipv6_connects_by_static_and_link_local_addresses() {
    let mut net = Net::new(2);
    net.link((0, &["fd00::1/64"]), (1, &["fd00::2/64"]), 1500);
    let (a, b) = net.connect(0, 1, at("[fd00::2]:80"));
    net.carry((0, a), (1, b), 500_000);
    net.carry((1, b), (0, a), 500_000);
}

#[test]
fn a_segment_larger_than_the_wire_crosses_whole_where_both_ends_agree() {
    let mut net = Net::new(2);
    let [a, b] = net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    assert!(net.hosts[0].set_offload(a, true, true));
    assert!(net.hosts[1].set_offload(b, true, true));
    let (a, b) = net.connect(0, 1, at("10.0.0.2:80"));
    net.carry((0, a), (1, b), 2_000_000);
    assert!(net.seen.iter().any(|(_, frame)| frame.len() > 30_000));
}

#[test]
fn failures_say_why() {
    let mut net = Net::new(2);
    net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    let no_route = net.hosts[0].connect(net.now, any(0), at("192.0.2.1:80"), OPTIONS);
    assert_eq!(no_route, Err(OpenError::NoRoute));
    let not_local = net.hosts[0].connect(net.now, at("10.9.9.9:0"), at("10.0.0.2:80"), OPTIONS);
    assert_eq!(not_local, Err(OpenError::Local(BindError::NotLocal)));
    let refused = net.hosts[0].connect(net.now, any(0), at("10.0.0.2:81"), OPTIONS).unwrap();
    let absent = net.hosts[0].connect(net.now, any(0), at("10.0.0.77:80"), OPTIONS).unwrap();
    net.pass(Duration::from_secs(5));
    let events = net.take_events(0);
    assert!(
        events.contains(&Event::Flow(Told::Reset { id: refused, why: ResetReason::Refused })),
        "{events:?}"
    );
    assert!(
        events.contains(&Event::Flow(Told::Reset { id: absent, why: ResetReason::Unreachable })),
        "{events:?}"
    );
    let (_, port) = net.hosts[1].listen(any(0), 1, OPTIONS).unwrap();
    assert!(port >= 49_152);
    assert_eq!(net.hosts[1].listen(at(&format!("10.0.0.2:{port}")), 1, OPTIONS), Err(BindError::InUse));
    assert_eq!(net.hosts[1].listen(at("10.0.0.3:80"), 1, OPTIONS), Err(BindError::NotLocal));
}

#[test]
fn a_listener_hears_only_its_address_and_port() {
    let mut net = Net::new(2);
    net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24", "10.0.0.3/24"]), 1500);
    let (one, _) = net.hosts[1].listen(at("10.0.0.2:80"), 4, OPTIONS).unwrap();
    let refused = net.hosts[0].connect(net.now, any(0), at("10.0.0.3:80"), OPTIONS).unwrap();
    let heard = net.hosts[0].connect(net.now, any(0), at("10.0.0.2:80"), OPTIONS).unwrap();
    net.pass(Duration::from_millis(10));
    let events = net.take_events(0);
    assert!(events.contains(&Event::Flow(Told::Reset { id: refused, why: ResetReason::Refused })));
    assert!(events.contains(&Event::Flow(Told::Established { id: heard })));
    assert!(net.hosts[1].accept(one).is_some());
    assert!(net.hosts[1].accept(one).is_none());
    net.hosts[1].close_listener(one);
    let late = net.hosts[0].connect(net.now, any(0), at("10.0.0.2:80"), OPTIONS).unwrap();
    net.pass(Duration::from_millis(10));
    assert!(net.take_events(0).contains(&Event::Flow(Told::Reset { id: late, why: ResetReason::Refused })));
    assert!(net.hosts[1].listen(at("10.0.0.2:80"), 4, OPTIONS).is_ok(), "the port is free again");
}

#[test]
fn a_full_backlog_takes_no_more_until_one_is_accepted() {
    let mut net = Net::new(2);
    net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    let (listener, _) = net.hosts[1].listen(any(80), 2, OPTIONS).unwrap();
    let flows: Vec<_> =
        (0..4).map(|_| net.hosts[0].connect(net.now, any(0), at("10.0.0.2:80"), OPTIONS).unwrap()).collect();
    net.pass(Duration::from_millis(100));
    let events = net.take_events(0);
    let stand = |events: &[Event]| {
        flows.iter().filter(|id| events.contains(&Event::Flow(Told::Established { id: **id }))).count()
    };
    assert_eq!(stand(&events), 2);
    assert!(net.hosts[1].accept(listener).is_some() && net.hosts[1].accept(listener).is_some());
    net.pass(Duration::from_secs(10));
    assert_eq!(stand(&net.take_events(0)), 2, "the others tried again");
}

#[test]
fn what_happened_before_it_was_accepted_is_told_then() {
    let mut net = Net::new(2);
    net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    let (listener, _) = net.hosts[1].listen(any(80), 2, OPTIONS).unwrap();
    let flow = net.hosts[0].connect(net.now, any(0), at("10.0.0.2:80"), OPTIONS).unwrap();
    net.settle();
    net.hosts[0].write(net.now, flow, b"early");
    net.hosts[0].fin(net.now, flow);
    net.pass(Duration::from_millis(100));
    assert_eq!(net.take_events(1), [Event::Accepted { listener }]);
    let accepted = net.hosts[1].accept(listener).unwrap();
    net.settle();
    assert_eq!(
        net.take_events(1),
        [Event::Flow(Told::Data { id: accepted, bytes: 5 }), Event::Flow(Told::Fin { id: accepted })]
    );
    assert_eq!(net.hosts[1].peek(accepted).concat(), b"early");
    assert_eq!(net.hosts[1].write(net.now, accepted, b"answer"), 6, "the other direction goes on");
    net.settle();
    assert_eq!(net.hosts[0].peek(flow).concat(), b"answer");
}

#[test]
fn close_sends_what_was_written_and_leaves_nothing_behind() {
    let mut net = Net::new(2);
    net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    let (a, b) = net.connect(0, 1, at("10.0.0.2:80"));
    net.hosts[0].write(net.now, a, &[7; 100_000]);
    net.hosts[0].close(net.now, a);
    net.hosts[1].write(net.now, b, &[9; 100_000]);
    let mut read = 0;
    while read < 100_000 {
        net.pass(Duration::from_millis(1));
        let taken = net.hosts[1].peek(b).concat().len();
        net.hosts[1].take(net.now, b, taken);
        read += taken;
    }
    net.pass(Duration::from_millis(10));
    assert!(net.take_events(1).contains(&Event::Flow(Told::Fin { id: b })));
    net.pass(Duration::from_secs(70));
    assert!(
        net.take_events(0).contains(&Event::Flow(Told::Closed { id: a })),
        "a peer that does not close is given up"
    );
    net.hosts[1].close(net.now, b);
    net.pass(Duration::from_secs(200));
    assert_eq!((net.hosts[0].flows(), net.hosts[1].flows()), (0, 0));
}

#[test]
fn many_connections_one_after_another_leave_few_behind() {
    let mut net = Net::new(2);
    net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    let (listener, _) = net.hosts[1].listen(any(80), 16, OPTIONS).unwrap();
    for _ in 0..20_000 {
        let a = net.hosts[0].connect(net.now, any(0), at("10.0.0.2:80"), OPTIONS).unwrap();
        net.settle();
        let b = net.hosts[1].accept(listener).unwrap();
        net.hosts[0].close(net.now, a);
        net.hosts[1].close(net.now, b);
        net.settle();
        net.seen.clear();
        net.events.iter_mut().for_each(Vec::clear);
    }
    assert!(net.hosts[0].flows() <= 1024 && net.hosts[1].flows() <= 1024);
}

#[test]
fn closing_an_interface_or_losing_its_address_resets_its_connections() {
    for lose in [false, true] {
        let mut net = Net::new(2);
        let [tap, _] = net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
        let (a, _) = net.connect(0, 1, at("10.0.0.2:80"));
        if lose {
            net.hosts[0].set_addresses(tap, &[super::net::net("10.0.0.9/24")]);
        } else {
            net.hosts[0].close_interface(tap);
        }
        net.settle();
        assert!(
            net.take_events(0).contains(&Event::Flow(Told::Reset { id: a, why: ResetReason::PortClosed }))
        );
    }
}

#[test]
fn a_flood_of_syns_keeps_nobody_out() {
    let mut net = Net::new(3);
    let [_, tap] = net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    let (listener, _) = net.hosts[1].listen(any(80), 8, OPTIONS).unwrap();
    // A neighbour's SYNs, whose answers go nowhere: the frame of a SYN of its own with other ports.
    let flow = net.hosts[0].connect(net.now, any(0), at("10.0.0.2:80"), OPTIONS).unwrap();
    net.settle();
    net.hosts[0].reset(flow);
    net.settle();
    let syn = net.seen.iter().find(|(host, frame)| *host == 0 && frame[12..14] == [8, 0]).unwrap().1.clone();
    for port in 1000..3000_u16 {
        let mut frame = syn.clone();
        let before = u16::from_be_bytes([frame[34], frame[35]]);
        let checksum = u16::from_be_bytes([frame[50], frame[51]]);
        let sum = u32::from(!checksum) + u32::from(!before) + u32::from(port);
        let sum = (sum & 0xffff) + (sum >> 16);
        let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        frame[50..52].copy_from_slice(&checksum.to_be_bytes());
        net.hosts[1].handle_frame(net.now, tap, &mut frame);
    }
    assert!((4..=9).contains(&net.hosts[1].flows()), "{}", net.hosts[1].flows());
    while net.hosts[1].accept(listener).is_some() {}
    let honest = net.hosts[0].connect(net.now, any(0), at("10.0.0.2:80"), OPTIONS).unwrap();
    net.pass(Duration::from_secs(1));
    assert!(net.take_events(0).contains(&Event::Flow(Told::Established { id: honest })));
}
