//! Both pairs of the core benchmark move bytes, with and without checksums and idle flows, before anything is timed.

use netloom_bench::core::machines::MachinePair;
use netloom_bench::core::smoltcp::SmoltcpPair;
use netloom_bench::core::{Pair, Setup};

const SETUPS: [Setup; 3] = [
    Setup { mtu: 1500, checksums: true, idle_flows: 0 },
    Setup { mtu: 65_535, checksums: false, idle_flows: 0 },
    Setup { mtu: 9000, checksums: true, idle_flows: 700 },
];

fn moves(mut pair: impl Pair) {
    let bytes: u64 = (0..2000).map(|_| pair.round()).sum();
    assert!(bytes > 10_000_000, "{bytes}");
}

#[test]
fn smoltcp_moves_bytes() {
    for setup in SETUPS {
        moves(SmoltcpPair::new(setup).unwrap());
    }
}

#[test]
fn the_machine_moves_bytes() {
    for setup in SETUPS {
        moves(MachinePair::new(setup).unwrap());
    }
}
