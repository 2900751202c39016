//! The Linux kernel as a guest: its own DHCP client, resolver and TCP against the relay's services and NAT.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use netloom_interop::lab::{BLACK_HOLE, GATEWAY, Guest, Lab, NAMED, SERVER};
use netloom_interop::link::{Impairment, LinkConfig};
use netloom_interop::process::Process;
use netloom_interop::transfer::{Kind, transfer};
use rustix::process::Signal;

const MIB: u64 = 1 << 20;

#[test]
fn a_guest_gets_a_lease_and_pings_the_gateway() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, lease) = lab.leased_guest(None).unwrap();
    assert_eq!((lease.router, lease.dns, lease.prefix), (Some(GATEWAY), Some(GATEWAY), 24));
    assert!((100..255).contains(&lease.address.octets()[3]), "{lease:?}");
    assert!(guest.pings(GATEWAY, 3));
}

#[test]
fn pings_go_out_where_the_kernel_lets_them() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    assert!(guest.pings(SERVER, 3));
    assert!(!guest.pings(BLACK_HOLE, 1));
}

#[test]
fn pings_that_the_kernel_forbids_are_complained_of_once() {
    let mut lab = Lab::new(&[]).unwrap();
    lab.host.sysctl("net/ipv4/ping_group_range", "1 0").unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    assert!(!guest.pings(SERVER, 2));
    assert!(!guest.pings(BLACK_HOLE, 1));
    lab.relay.stop(Signal::TERM).unwrap();
    let is_over = |line: &str| line.contains("stopping").then_some(());
    lab.relay.wait_for_line(Duration::from_secs(5), is_over).unwrap();
    let output = lab.relay.output();
    let complaints = output.iter().filter(|line| line.contains("net.ipv4.ping_group_range")).count();
    assert_eq!(complaints, 1, "{output:?}");
}

/// Asks the gateway for a name, which it must pass on to the host's resolver.
fn resolve(transport: &str, name: &str) {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let server = format!("@{GATEWAY}");
    let answer =
        guest.namespace.exec("dig", &["+short", "+time=5", "+tries=2", transport, &server, name]).unwrap();
    assert_eq!(answer.trim(), NAMED.to_string());
    assert!(lab.dns.asked().unwrap().contains(&name.to_owned()));
}

#[test]
fn a_name_is_answered_by_the_hosts_resolver() {
    resolve("+notcp", "over-udp.example");
}

#[test]
fn a_name_is_answered_over_tcp_too() {
    resolve("+tcp", "over-tcp.example");
}

#[test]
fn transfers_are_whole_both_ways_and_half_closed() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    for kind in [Kind::Download, Kind::Upload, Kind::HalfClose] {
        transfer(&guest.namespace, lab.transfers.address(), kind, 16 * MIB, 1).unwrap();
    }
    transfer(&guest.namespace, lab.transfers.address(), Kind::HalfClose, 0, 2).unwrap();
}

#[test]
fn a_hundred_parallel_flows_are_whole() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let guest = Arc::new(guest);
    let address = lab.transfers.address();
    let flows = (0..100_u64).map(|number| {
        let guest = guest.clone();
        let kind = [Kind::Download, Kind::Upload, Kind::HalfClose][number as usize % 3];
        thread::spawn(move || transfer(&guest.namespace, address, kind, 256 * 1024 + number, number))
    });
    let ends: Vec<_> = flows.collect::<Vec<_>>().into_iter().map(|flow| flow.join().unwrap()).collect();
    for end in ends {
        end.unwrap();
    }
}

#[test]
fn short_connections_follow_one_another() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    for number in 0..200 {
        transfer(&guest.namespace, lab.transfers.address(), Kind::Download, 100, number).unwrap();
    }
}

fn iperf(lab: &Lab, guest: &Guest, arguments: &[&str]) -> f64 {
    let mut server = Process::start(lab.server.command("iperf3").args(["-s", "-1", "--forceflush"])).unwrap();
    server.wait_for_line(Duration::from_secs(5), |line| line.contains("listening").then_some(())).unwrap();
    let target = SERVER.to_string();
    let report =
        guest.namespace.exec("iperf3", &[&["-c", &target, "-J", "-t", "3"], arguments].concat()).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    report["end"]["sum_received"]["bytes"].as_f64().unwrap()
}

#[test]
fn iperf3_runs_up_and_down() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    assert!(iperf(&lab, &guest, &[]) > 0.0);
    assert!(iperf(&lab, &guest, &["-R"]) > 0.0);
}

#[test]
fn iperf3_runs_a_hundred_flows() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    assert!(iperf(&lab, &guest, &["-P", "100"]) > 0.0);
}

#[test]
fn a_refused_port_is_refused_within_a_second() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let closed = SocketAddr::from((SERVER, 9));
    let error = guest.namespace.connect(closed, Duration::from_secs(1)).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn black_holed_dials_time_out_and_delay_nobody() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let guest = Arc::new(guest);
    let dials: Vec<_> = (0..16)
        .map(|port| {
            let guest = guest.clone();
            let hole = SocketAddr::from((BLACK_HOLE, 1000 + port));
            thread::spawn(move || {
                guest.namespace.connect(hole, Duration::from_secs(6)).unwrap().unwrap_err().kind()
            })
        })
        .collect();
    for _ in 0..20 {
        let open = guest.namespace.connect(lab.transfers.address(), Duration::from_secs(1)).unwrap();
        open.expect("a connection beside black-holed dials");
    }
    for dial in dials {
        assert_eq!(dial.join().unwrap(), ErrorKind::TimedOut);
    }
}

fn impaired(seed: u64) -> Option<Impairment> {
    let config = LinkConfig {
        loss: 0.02,
        duplicate: 0.01,
        reorder: 0.02,
        delay: Duration::from_millis(10),
        ..LinkConfig::default()
    };
    Some(Impairment::new(config, seed))
}

/// Several flows share the work: one flow's rate under such loss would make minutes of it.
fn move_across_the_impaired_link(kind: Kind, seed: u64) {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(impaired(seed)).unwrap();
    let guest = Arc::new(guest);
    let address = lab.transfers.address();
    let flows: Vec<_> = (0..8)
        .map(|flow| {
            let guest = guest.clone();
            thread::spawn(move || transfer(&guest.namespace, address, kind, MIB, seed ^ flow))
        })
        .collect();
    let ends: Vec<_> = flows.into_iter().map(|flow| flow.join().unwrap()).collect();
    for end in ends {
        end.unwrap();
    }
}

#[test]
fn every_byte_comes_down_across_the_impaired_link() {
    for seed in [1, 2] {
        move_across_the_impaired_link(Kind::Download, seed);
    }
}

#[test]
fn every_byte_goes_up_across_the_impaired_link() {
    for seed in [3, 4] {
        move_across_the_impaired_link(Kind::Upload, seed);
    }
}
