//! UDP and ping sockets of hosts.

use netloom_core::Duration;
use netloom_core::host::{BindError, Event, SendError};
use netloom_core::interface::Medium;

use super::net::{Net, any, at, net};

const LIMIT_BYTES: usize = 1 << 20;

#[test]
fn datagrams_of_every_size_cross_in_fragments() {
    for (a, b) in [("10.0.0.1/24", "10.0.0.2/24"), ("fd00::1/64", "fd00::2/64")] {
        let mut net = Net::new(2);
        net.link((0, &[a]), (1, &[b]), 1500);
        let most = if a.contains(':') { 65_527 } else { 65_507 };
        let (server, _) = net.hosts[1].open_udp(any(5000), None, LIMIT_BYTES).unwrap();
        let (client, port) = net.hosts[0].open_udp(any(0), None, LIMIT_BYTES).unwrap();
        let target = super::net::net(b).address();
        for length in [0, 1, 1472, 1473, 9000, most] {
            let data: Vec<u8> = (0..length).map(|at| at as u8).collect();
            net.hosts[0].send(net.now, client, (target, 5000).into(), &data).unwrap();
            net.pass(Duration::from_millis(1));
            let (from, received) = net.hosts[1].peek_datagram(server).expect("it arrived");
            assert_eq!((from.ip(), from.port()), (super::net::net(a).address(), port));
            assert!(received == data, "{length} bytes");
            net.hosts[1].take_datagram(server);
        }
        let long = net.hosts[0].send(net.now, client, (target, 5000).into(), &vec![0; most + 1]);
        assert_eq!(long, Err(SendError::TooLong));
        assert!(net.seen.iter().all(|(_, frame)| frame.len() <= 1514));
    }
}

#[test]
fn nobody_there_is_told() {
    let mut net = Net::new(2);
    net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    let (socket, _) = net.hosts[0].open_udp(any(0), None, LIMIT_BYTES).unwrap();
    net.hosts[0].send(net.now, socket, at("10.0.0.2:9"), b"x").unwrap();
    net.hosts[0].send(net.now, socket, at("10.0.0.9:9"), b"x").unwrap();
    assert_eq!(net.hosts[0].send(net.now, socket, at("192.0.2.1:9"), b"x"), Err(SendError::NoRoute));
    net.pass(Duration::from_secs(5));
    let told = |target, refused| Event::Undelivered { socket, target, refused };
    assert_eq!(net.take_events(0), [told(at("10.0.0.2:9"), true), told(at("10.0.0.9:9"), false)]);
}

#[test]
fn broadcast_leaves_by_every_tap_with_the_address_there() {
    let mut net = Net::new(3);
    net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    net.link((0, &[]), (2, &["10.2.0.2/24"]), 1500);
    let server = |host: &mut netloom_core::host::Host| host.open_udp(any(67), None, LIMIT_BYTES).unwrap().0;
    let (one, two) = (server(&mut net.hosts[1]), server(&mut net.hosts[2]));
    let (client, _) = net.hosts[0].open_udp(any(68), None, LIMIT_BYTES).unwrap();
    net.hosts[0].send(net.now, client, at("255.255.255.255:67"), b"discover").unwrap();
    net.settle();
    assert_eq!(net.hosts[1].peek_datagram(one).unwrap(), (at("10.0.0.1:68"), &b"discover"[..]));
    assert_eq!(net.hosts[2].peek_datagram(two).unwrap(), (at("0.0.0.0:68"), &b"discover"[..]));
    net.hosts[1].take_datagram(one);
    net.hosts[0].send(net.now, client, at("10.0.0.255:67"), b"subnet").unwrap();
    net.settle();
    assert_eq!(net.hosts[1].peek_datagram(one).unwrap().1, b"subnet");
    net.hosts[2].send(net.now, two, at("255.255.255.255:68"), b"offer").unwrap();
    net.settle();
    assert_eq!(net.hosts[0].peek_datagram(client).unwrap(), (at("10.2.0.2:67"), &b"offer"[..]));
}

#[test]
fn a_socket_of_one_interface_sends_and_hears_there_alone() {
    let mut net = Net::new(3);
    let [left, _] = net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    let [right, _] = net.link((0, &["10.2.0.1/24"]), (2, &["10.2.0.2/24"]), 1500);
    let (one, _) = net.hosts[0].open_udp(any(67), Some(left), LIMIT_BYTES).unwrap();
    let (two, _) = net.hosts[0].open_udp(any(67), Some(right), LIMIT_BYTES).unwrap();
    assert_eq!(net.hosts[0].open_udp(any(67), Some(left), LIMIT_BYTES), Err(BindError::InUse));
    let (client, _) = net.hosts[2].open_udp(any(68), None, LIMIT_BYTES).unwrap();
    net.hosts[2].send(net.now, client, at("255.255.255.255:67"), b"right").unwrap();
    net.settle();
    assert!(net.hosts[0].peek_datagram(one).is_none());
    assert_eq!(net.hosts[0].peek_datagram(two).unwrap().1, b"right");
}

#[test]
fn a_full_socket_and_a_full_port_hold_no_more() {
    let mut net = Net::new(2);
    net.link((0, &["10.0.0.1/24"]), (1, &["10.0.0.2/24"]), 1500);
    let (server, _) = net.hosts[1].open_udp(any(5000), None, 10_000).unwrap();
    let (client, _) = net.hosts[0].open_udp(any(0), None, LIMIT_BYTES).unwrap();
    net.hosts[0].send(net.now, client, at("10.0.0.2:5000"), b"who").unwrap();
    net.settle();
    for _ in 0..100 {
        net.hosts[0].send(net.now, client, at("10.0.0.2:5000"), &[0; 1000]).unwrap();
        net.settle();
    }
    let mut held = 0;
    while net.hosts[1].peek_datagram(server).is_some() {
        net.hosts[1].take_datagram(server);
        held += 1;
    }
    assert!((5..=12).contains(&held), "{held}");
    let sent = (0..10_000)
        .take_while(|_| net.hosts[0].send(net.now, client, at("10.0.0.2:5000"), &[0; 1000]).is_ok())
        .count();
    assert!((500..2000).contains(&sent), "{sent}");
    net.settle();
    assert!(net.hosts[0].send(net.now, client, at("10.0.0.2:5000"), b"again").is_ok());
}

#[test]
fn ping_goes_and_comes_over_a_tap_and_loopback() {
    for target in ["10.0.0.2", "fd00::2", "10.0.0.1", "127.0.0.1"] {
        let mut net = Net::new(2);
        net.open(0, Medium::Loopback, 65_535, &["127.0.0.1/8"]);
        net.link((0, &["10.0.0.1/24", "fd00::1/64"]), (1, &["10.0.0.2/24", "fd00::2/64"]), 1500);
        let (ping, _) = net.hosts[0].open_ping(LIMIT_BYTES).unwrap();
        let target = (target.parse::<core::net::IpAddr>().unwrap(), 7).into();
        net.hosts[0].send(net.now, ping, target, b"payload").unwrap();
        net.pass(Duration::from_millis(1));
        assert_eq!(net.hosts[0].peek_datagram(ping).unwrap(), (target, &b"payload"[..]));
        net.hosts[0].take_datagram(ping);
        net.hosts[0].send(net.now, ping, target, &[5; 4000]).unwrap();
        net.pass(Duration::from_millis(1));
        assert_eq!(net.hosts[0].peek_datagram(ping).unwrap().1, [5; 4000]);
    }
}

#[test]
fn an_address_given_later_is_used_from_then_on() {
    let mut net = Net::new(2);
    let [tap, _] = net.link((0, &[]), (1, &["10.0.0.2/24"]), 1500);
    let (socket, _) = net.hosts[0].open_udp(any(0), None, LIMIT_BYTES).unwrap();
    assert_eq!(net.hosts[0].send(net.now, socket, at("10.0.0.2:9"), b"x"), Err(SendError::NoRoute));
    net.hosts[0].set_addresses(tap, &[self::net("10.0.0.1/24")]);
    let (a, b) = net.connect(0, 1, at("10.0.0.2:80"));
    net.carry((0, a), (1, b), 10_000);
}
