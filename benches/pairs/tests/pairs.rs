//! Both pairs move bytes and open connections, in every setup that is measured, before anything is timed.

use netloom_bench_pairs::{Setup, Stack, pair};

fn setups() -> [Setup; 6] {
    let plain = Setup::default();
    [
        plain,
        Setup { mtu: 65_535, checksums: false, ..plain },
        Setup { mtu: 9000, idle_flows: 700, ..plain },
        Setup { large_segments: true, timestamps: false, ..plain },
        Setup { large_segments: true, checksums: false, ..plain },
        Setup { busy_flows: 100, ..plain },
    ]
}

#[test]
fn bytes_move() {
    for setup in setups() {
        for stack in [Stack::Ours, Stack::Smoltcp] {
            let mut pair = pair(stack, setup).unwrap();
            let (mut bytes, mut rounds) = (0, 0);
            while bytes < 10_000_000 {
                bytes += pair.round();
                rounds += 1;
                assert!(rounds < 2000, "{bytes} bytes, {stack:?}, {setup:?}");
            }
        }
    }
}

#[test]
fn connections_open_and_end() {
    for stack in [Stack::Ours, Stack::Smoltcp] {
        let mut pair = pair(stack, Setup::default()).unwrap();
        for _ in 0..100 {
            pair.connects().unwrap();
        }
    }
}
