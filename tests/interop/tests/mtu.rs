//! Linux guests on LANs of other MTUs: lease and router tell it, and what goes through is whole.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{IpAddr, SocketAddr};

use netloom_interop::echo::UdpEcho;
use netloom_interop::lab::{GATEWAY, GATEWAY_V6, Guest, INTERFACE, Lab, SERVER, SERVER_V6, sized};
use netloom_interop::transfer::{Kind, Pattern, Server, transfer};

const MIB: u64 = 1 << 20;

fn everything_is_whole(lab: &Lab, guest: &Guest, (own, server): (IpAddr, IpAddr), mtu: u16, length: u64) {
    let transfers = Server::start(&lab.server, SocketAddr::new(server, 0)).unwrap();
    for kind in [Kind::Download, Kind::Upload, Kind::HalfClose] {
        transfer(&guest.namespace, transfers.address(), kind, length, u64::from(mtu)).unwrap();
    }
    let echo = UdpEcho::start(&lab.server, SocketAddr::new(server, 0)).unwrap();
    let socket = guest.namespace.bind_udp(SocketAddr::new(own, 0)).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    socket.connect(echo.address()).unwrap();
    let header = if server.is_ipv4() { 28 } else { 48 };
    for length in [usize::from(mtu) - header, usize::from(mtu) - header + 1, 9000] {
        let length = length.min(65_507);
        let mut sent = vec![0; length];
        Pattern::new(length as u64).fill(&mut sent);
        assert_eq!(socket.send(&sent).unwrap(), length);
        let mut came = vec![0; 65_536];
        let came_bytes = socket.recv(&mut came).expect("an echo");
        assert!(came[..came_bytes] == sent, "{length} bytes at MTU {mtu}: {came_bytes} came back");
    }
}

fn ipv4_is_whole(mtu: u16, length: u64) {
    let lab = Lab::new(&["--mtu", &mtu.to_string()]).unwrap();
    let (guest, lease) = lab.leased_guest(None).unwrap();
    assert_eq!(lease.mtu, Some(mtu));
    everything_is_whole(&lab, &guest, (lease.address.into(), SERVER.into()), mtu, length);
    assert!(guest.pings(GATEWAY, 1));
}

fn ipv6_is_whole(mtu: u16, length: u64) {
    let lab = Lab::new(&["--mtu", &mtu.to_string(), "--ipv6", "ula", "--no-dhcp"]).unwrap();
    let guest = lab.guest("/", None).unwrap();
    // A router may ask for less than the link has, never for more (RFC 4861 section 6.3.4).
    for change in [&["down"][..], &["mtu", "65521"], &["up"]] {
        guest.namespace.ip(&[&["link", "set", INTERFACE], change].concat()).unwrap();
    }
    let address = guest.advertised_address().unwrap();
    everything_is_whole(&lab, &guest, (address.into(), SERVER_V6.into()), mtu, length);
    assert!(guest.pings(GATEWAY_V6, 1));
    let told = guest.namespace.run(|| std::fs::read_to_string("/proc/sys/net/ipv6/conf/eth0/mtu"));
    assert_eq!(told.unwrap().unwrap().trim(), mtu.to_string());
}

#[test]
fn mtu_576() {
    ipv4_is_whole(576, sized(4, 64) * MIB);
}

#[test]
fn mtu_1280_the_least_of_ipv6() {
    ipv6_is_whole(1280, sized(8, 128) * MIB);
}

#[test]
fn mtu_9000() {
    ipv4_is_whole(9000, sized(16, 256) * MIB);
    ipv6_is_whole(9000, sized(16, 256) * MIB);
}

#[test]
fn mtu_65520_the_largest_of_a_tap() {
    ipv4_is_whole(65_520, sized(16, 256) * MIB);
    ipv6_is_whole(65_520, sized(16, 256) * MIB);
}
