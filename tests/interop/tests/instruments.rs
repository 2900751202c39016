//! The instruments themselves, without a relay: two kernels joined by a splice, directly and across the impaired link.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use netloom_interop::lab::{INTERFACE, alone};
use netloom_interop::link::{Impairment, LinkConfig};
use netloom_interop::namespace::Namespace;
use netloom_interop::splice::Splice;
use netloom_interop::tap::Tap;
use netloom_interop::transfer::{Kind, Server, transfer};

const A: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

struct Pair {
    cable: Splice,
    a: Namespace,
    b: Namespace,
}

fn pair(impairment: Option<Impairment>) -> Pair {
    let (a, b) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let taps = [(&a, A), (&b, B)].map(|(namespace, address)| {
        let tap = Tap::open(namespace, INTERFACE).unwrap();
        namespace.add_address(INTERFACE, address, 24).unwrap();
        tap
    });
    let [tap_a, tap_b] = taps;
    Pair { cable: Splice::start(tap_a, tap_b, impairment).unwrap(), a, b }
}

#[test]
fn kernels_move_data_both_ways_through_a_splice() {
    let _alone = alone();
    let pair = pair(None);
    let server = Server::start(&pair.b, SocketAddr::from((B, 0))).unwrap();
    for kind in [Kind::Download, Kind::Upload, Kind::HalfClose] {
        transfer(&pair.a, server.address(), kind, 4 << 20, 1).unwrap();
    }
    let (from_a, from_b) = pair.cable.frames();
    assert!(from_a > 3000 && from_b > 3000, "{from_a} and {from_b} frames");
    pair.cable.finish().unwrap();
}

#[test]
fn kernels_move_data_across_the_impaired_link() {
    let _alone = alone();
    let pair = pair(Some(Impairment::bad(7)));
    let server = Server::start(&pair.b, SocketAddr::from((B, 0))).unwrap();
    for kind in [Kind::Download, Kind::Upload] {
        transfer(&pair.a, server.address(), kind, 1 << 20, 2).unwrap();
    }
}

#[test]
fn a_link_that_loses_everything_carries_nothing() {
    let _alone = alone();
    let pair = pair(Some(Impairment::new(LinkConfig { loss: 1.0, ..LinkConfig::default() }, 7)));
    let server = Server::start(&pair.b, SocketAddr::from((B, 0))).unwrap();
    let refused = pair.a.connect(server.address(), Duration::from_secs(1)).unwrap();
    assert!(refused.is_err());
}

#[test]
fn a_namespace_goes_with_its_owner_even_on_panic() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let namespace = Namespace::new().unwrap();
        sender.send(namespace.name().to_owned()).unwrap();
        panic!("on purpose");
    })
    .join();
    let name = receiver.recv().unwrap();
    assert!(panicked.is_err());
    assert!(!std::path::Path::new("/run/netns").join(name).exists());
}
