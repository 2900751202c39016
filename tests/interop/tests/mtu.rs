//! Linux guests on LANs of other MTUs: the lease tells it, and what goes through is whole.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;

use netloom_interop::echo::UdpEcho;
use netloom_interop::lab::{Lab, SERVER, sized};
use netloom_interop::transfer::{Kind, Pattern, transfer};

const MIB: u64 = 1 << 20;

fn everything_is_whole(mtu: u16, length: u64) {
    let lab = Lab::new(&["--mtu", &mtu.to_string()]).unwrap();
    let (guest, lease) = lab.leased_guest(None).unwrap();
    assert_eq!(lease.mtu, Some(mtu));
    for kind in [Kind::Download, Kind::Upload, Kind::HalfClose] {
        transfer(&guest.namespace, lab.transfers.address(), kind, length, u64::from(mtu)).unwrap();
    }
    let echo = UdpEcho::start(&lab.server, SocketAddr::from((SERVER, 0))).unwrap();
    let socket = guest.namespace.bind_udp(SocketAddr::from((lease.address, 0))).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    socket.connect(echo.address()).unwrap();
    let header = 28;
    for length in [usize::from(mtu) - header, usize::from(mtu) - header + 1, 9000] {
        let length = length.min(65_507);
        let mut sent = vec![0; length];
        Pattern::new(length as u64).fill(&mut sent);
        assert_eq!(socket.send(&sent).unwrap(), length);
        let mut came = vec![0; 65_536];
        let came_bytes = socket.recv(&mut came).expect("an echo");
        assert!(came[..came_bytes] == sent, "{length} bytes at MTU {mtu}: {came_bytes} came back");
    }
    assert!(guest.pings(netloom_interop::lab::GATEWAY, 1));
}

#[test]
fn mtu_576() {
    everything_is_whole(576, sized(4, 64) * MIB);
}

#[test]
fn mtu_9000() {
    everything_is_whole(9000, sized(16, 256) * MIB);
}

#[test]
fn mtu_65520_the_largest_of_a_tap() {
    everything_is_whole(65_520, sized(16, 256) * MIB);
}
