//! The Linux kernel as a guest across the simulator's seeded link: 2 % loss, 1 % duplicates, 2 % reordering, 10 ms each way.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use netloom_interop::iperf::iperf3;
use netloom_interop::lab::{Guest, Lab, SERVER_V6, sized};
use netloom_interop::link::Impairment;
use netloom_interop::transfer::{Kind, Server, transfer};

const MIB: u64 = 1 << 20;

/// A guest whose cable is the impaired link.
fn lab(seed: u64) -> (Lab, Guest) {
    let lab = Lab::beside_others(&[]).unwrap();
    let (guest, _) = lab.leased_guest(Some(Impairment::bad(seed))).unwrap();
    (lab, guest)
}

/// The link was what it says: frames of each direction were lost, sent twice and out of order.
fn assert_impaired(guest: Guest) {
    let impairment = guest.cable.finish().unwrap().expect("an impaired cable");
    let (up, down) = impairment.counters();
    for link in [up, down] {
        assert!(link.lost > 0 && link.duplicated > 0 && link.reordered > 0, "{link:?}");
    }
}

/// Flows at the same time, each of a kind in turn; every byte of each must arrive.
fn flows(seed: u64, count: u64, kinds: &[Kind], length: u64) {
    let (lab, guest) = lab(seed);
    flows_to(lab.transfers.address(), guest, seed, count, kinds, length);
}

fn flows_to(address: SocketAddr, guest: Guest, seed: u64, count: u64, kinds: &[Kind], length: u64) {
    let guest = Arc::new(guest);
    let flows: Vec<_> = (0..count)
        .map(|flow| {
            let (guest, kind) = (guest.clone(), kinds[flow as usize % kinds.len()]);
            thread::spawn(move || transfer(&guest.namespace, address, kind, length + flow, seed ^ flow))
        })
        .collect();
    let ends: Vec<_> = flows.into_iter().map(|flow| flow.join().unwrap()).collect();
    for end in ends {
        end.unwrap();
    }
    assert_impaired(Arc::into_inner(guest).expect("the flows have ended"));
}

#[test]
fn every_byte_comes_down_in_eight_flows() {
    for seed in 1..=sized(2, 8) {
        flows(seed, 8, &[Kind::Download], MIB);
    }
}

#[test]
fn every_byte_goes_up_in_eight_flows() {
    for seed in 11..=sized(12, 18) {
        flows(seed, 8, &[Kind::Upload], MIB);
    }
}

#[test]
fn every_byte_of_a_hundred_flows_arrives() {
    let kinds = [Kind::Download, Kind::Upload, Kind::HalfClose];
    flows(21, 100, &kinds, sized(64, 1024) * 1024);
}

#[test]
fn every_byte_of_eight_flows_arrives_over_ipv6() {
    let lab = Lab::beside_others(&["--ipv6", "ula"]).unwrap();
    let guest = lab.guest("/", Some(Impairment::bad(51))).unwrap();
    guest.advertised_address().unwrap();
    let server = Server::start(&lab.server, SocketAddr::from((SERVER_V6, 0))).unwrap();
    let kinds = [Kind::Download, Kind::Upload, Kind::HalfClose];
    flows_to(server.address(), guest, 51, 8, &kinds, sized(1, 4) * MIB);
}

#[test]
fn one_flow_down_is_whole() {
    flows(31, 1, &[Kind::Download], sized(8, 32) * MIB);
}

#[test]
fn one_flow_up_is_whole() {
    flows(32, 1, &[Kind::Upload], sized(8, 32) * MIB);
}

#[test]
fn iperf3_runs_up_and_down() {
    let (lab, guest) = lab(41);
    let seconds = sized(3, 20) as u32;
    assert!(iperf3(&lab, &guest, seconds, &[]).unwrap() > 0.0);
    assert!(iperf3(&lab, &guest, seconds, &["-R"]).unwrap() > 0.0);
    assert_impaired(guest);
}

#[test]
fn iperf3_runs_a_hundred_flows() {
    let (lab, guest) = lab(42);
    let seconds = sized(5, 20) as u32;
    assert!(iperf3(&lab, &guest, seconds, &["-P", "100"]).unwrap() > 0.0);
    assert!(iperf3(&lab, &guest, seconds, &["-P", "100", "-R"]).unwrap() > 0.0);
    assert_impaired(guest);
}
