//! A guest in v86 on a LAN with a TAP: the kernel's NAT and dnsmasq behind it serve the guest, or we serve it and a kernel there.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use netloom_guests::V86;
use netloom_interop::dhcp::DhcpClient;
use netloom_interop::lab::{GATEWAY, INTERFACE, Lab, sized, take_lease};
use netloom_interop::namespace::Namespace;
use netloom_interop::relay::Relay;
use netloom_interop::transfer::Server;
use netloom_interop::uplink::{HOST, HOST_NET, KNOWN, dnsmasq, masquerade};
use rustix::process::Signal;

const MIB: u64 = 1 << 20;
const LEASE: &str = "udhcpc -i eth0 -n -q -f -t 10 -T 1";

#[test]
fn the_kernel_serves_a_guest() {
    let uplink = format!("tap0,address={HOST_NET}");
    let lab =
        Lab::new(&["--subnet", "10.5.0.0/16", "--no-dhcp", "--no-dns", "--no-gateway", "--tap", &uplink])
            .unwrap();
    masquerade(&lab.host, "up0").unwrap();
    let _dnsmasq = dnsmasq(&lab.host, "tap0").unwrap();
    let mut guest = V86::restore(&lab, "virtio").unwrap();
    guest.must(LEASE).unwrap();
    assert!(guest.must("ip route show default").unwrap().contains(&format!("via {HOST}")));
    let named = guest.must(&format!("nslookup -type=a {} {HOST}", KNOWN.0)).unwrap();
    assert!(named.contains(KNOWN.1), "{named}");
    guest.moves_bytes(lab.transfers.address(), sized(1, 16) * MIB).unwrap();
    let host = Server::start(&lab.host, SocketAddr::from((HOST, 0))).unwrap();
    guest.moves_bytes(host.address(), sized(1, 16) * MIB).unwrap();
}

#[test]
fn we_serve_a_guest_and_a_kernel() {
    let kernel = Namespace::new().unwrap();
    let lab = Lab::new(&["--tap", &format!("{INTERFACE},netns={}", kernel.name())]).unwrap();
    let lease = take_lease(&kernel, DhcpClient::Udhcpc).unwrap();
    let mut guest = V86::restore(&lab, "virtio").unwrap();
    guest.must(LEASE).unwrap();
    assert!(guest.must("ip route show default").unwrap().contains(&format!("via {GATEWAY}")));
    guest.moves_bytes(lab.transfers.address(), sized(1, 16) * MIB).unwrap();
    let neighbor = Server::start(&kernel, SocketAddr::from((lease.address, 0))).unwrap();
    guest.moves_bytes(neighbor.address(), sized(1, 16) * MIB).unwrap();
}

/// Bytes that a namespace has sent.
fn sent(namespace: &Namespace) -> u64 {
    let shown = namespace.ip(&["-j", "-s", "link", "show", INTERFACE]).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    shown.pointer("/0/stats64/tx/bytes").and_then(serde_json::Value::as_u64).unwrap()
}

#[test]
fn a_transfer_with_a_kernel_outlives_a_killed_relay() {
    let (kernel, address) = (Namespace::new().unwrap(), Ipv4Addr::new(192, 168, 86, 50));
    kernel.ip(&["tuntap", "add", INTERFACE, "mode", "tap"]).unwrap();
    kernel.ip(&["link", "set", INTERFACE, "up"]).unwrap();
    kernel.add_address(INTERFACE, address, 24).unwrap();
    let tap = format!("{INTERFACE},netns={}", kernel.name());
    let mut lab = Lab::new(&["--tap", &tap]).unwrap();
    let listened = lab.relay.address().to_string();
    let mut guest = V86::restore(&lab, "virtio").unwrap();
    guest.must(LEASE).unwrap();
    let server = Server::start(&kernel, SocketAddr::from((address, 0))).unwrap();
    let bytes = sized(8, 64) * MIB;
    let goal = sent(&kernel) + bytes / 4;
    thread::scope(|scope| {
        let moved = scope.spawn(|| guest.moves_bytes(server.address(), bytes));
        while sent(&kernel) < goal && !moved.is_finished() {}
        lab.relay.stop(Signal::KILL).unwrap();
        assert!(!moved.is_finished(), "it was too quick to be interrupted");
        lab.relay = Relay::start(&lab.host, &["--listen", &listened, "--tap", &tap]).unwrap();
        moved.join().unwrap().unwrap();
    });
    assert_eq!(server.served(), 2);
}
