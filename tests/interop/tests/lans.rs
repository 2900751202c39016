//! Two Linux kernels on one LAN, isolated on one LAN, and on two.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use netloom_interop::lab::{Guest, Lab};
use netloom_interop::transfer::{Kind, Server, transfer};

const A: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 50);
const B: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 51);

fn pair(lab: &Lab, paths: [&str; 2]) -> [Guest; 2] {
    [(paths[0], A), (paths[1], B)].map(|(path, address)| {
        let guest = lab.guest(path, None).unwrap();
        guest.use_address(address, 24).unwrap();
        guest
    })
}

fn reaches(a: &Guest, b: &Guest) -> bool {
    let server = Server::start(&b.namespace, SocketAddr::from((B, 0))).unwrap();
    a.namespace.connect(server.address(), Duration::from_secs(1)).unwrap().is_ok()
}

#[test]
fn guests_on_one_lan_find_each_other_and_move_data() {
    let lab = Lab::new(&[]).unwrap();
    let [a, b] = pair(&lab, ["/", "/"]);
    assert!(a.pings(B, 3));
    b.namespace.sysctl("net/ipv4/icmp_echo_ignore_broadcasts", "0").unwrap();
    let broadcast =
        a.namespace.exec("ping", &["-n", "-b", "-c", "3", "-i", "0.2", "-W", "2", "192.168.86.255"]);
    assert!(broadcast.unwrap().contains(&format!("from {B}")));
    let server = Server::start(&b.namespace, SocketAddr::from((B, 0))).unwrap();
    for kind in [Kind::Download, Kind::Upload, Kind::HalfClose] {
        transfer(&a.namespace, server.address(), kind, 8 << 20, 1).unwrap();
    }
}

#[test]
fn isolated_guests_reach_the_gateway_only() {
    let lab = Lab::new(&["--isolate"]).unwrap();
    let [a, b] = pair(&lab, ["/", "/"]);
    assert!(a.pings(netloom_interop::lab::GATEWAY, 3) && b.pings(netloom_interop::lab::GATEWAY, 3));
    assert!(!reaches(&a, &b));
    assert!(!a.pings(B, 2));
}

#[test]
fn guests_on_two_lans_do_not_meet() {
    let lab = Lab::new(&["--lan", "other"]).unwrap();
    let [a, b] = pair(&lab, ["/", "/lan/other"]);
    assert!(!reaches(&a, &b));
    assert!(!a.pings(B, 2));
}
