//! The Linux kernel as a guest: its own DHCP client, resolver and TCP against the relay's services and NAT.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use netloom_interop::iperf::iperf3;
use netloom_interop::lab::{BLACK_HOLE, GATEWAY, Lab, NAMED, SERVER, sized};
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
    assert_eq!(answer.trim(), NAMED.0.to_string());
    assert!(lab.dns.asked().unwrap().contains(&name.to_owned()));
}

#[test]
fn a_name_is_answered_by_the_hosts_resolver() {
    resolve("+notcp", "over-udp.test");
}

#[test]
fn a_name_is_answered_over_tcp_too() {
    resolve("+tcp", "over-tcp.test");
}

#[test]
fn transfers_are_whole_both_ways_and_half_closed() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    for kind in [Kind::Download, Kind::Upload, Kind::HalfClose] {
        transfer(&guest.namespace, lab.transfers.address(), kind, sized(16, 256) * MIB, 1).unwrap();
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
        thread::spawn(move || {
            transfer(&guest.namespace, address, kind, sized(256, 4096) * 1024 + number, number)
        })
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

#[test]
fn iperf3_runs_up_and_down() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let seconds = sized(2, 20) as u32;
    assert!(iperf3(&lab, &guest, seconds, &[]).unwrap() > 0.0);
    assert!(iperf3(&lab, &guest, seconds, &["-R"]).unwrap() > 0.0);
}

#[test]
fn iperf3_runs_a_hundred_flows() {
    let lab = Lab::new(&[]).unwrap();
    let (guest, _) = lab.leased_guest(None).unwrap();
    let seconds = sized(2, 20) as u32;
    assert!(iperf3(&lab, &guest, seconds, &["-P", "100"]).unwrap() > 0.0);
    assert!(iperf3(&lab, &guest, seconds, &["-P", "100", "-R"]).unwrap() > 0.0);
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
