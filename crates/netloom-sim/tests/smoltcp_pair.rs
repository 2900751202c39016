//! smoltcp with itself over the impaired link: the guests, the programs, the link and the checker hold before the machine is judged.

use core::net::SocketAddrV4;

use netloom_core::{Duration, Instant};
use netloom_sim::guest::smoltcp::SmoltcpHostConfig;
use netloom_sim::world::{guest_address, guest_mac, run_pair};
use netloom_sim::{Checker, Host, Link, LinkConfig, Outcome, Plan, SmoltcpHost};

fn host(n: u8, mtu: u16, buffer_bytes: usize) -> SmoltcpHost {
    SmoltcpHost::new(SmoltcpHostConfig {
        mac: guest_mac(n),
        address: Some((guest_address(n).into(), 24)),
        router: None,
        slaac: false,
        mtu,
        buffer_bytes,
        checksums: true,
        seed: u64::from(n) + 1,
    })
}

fn transfer(link: LinkConfig, mtu: u16, buffer_bytes: usize, plan: Plan, seed: u64) {
    let (mut a, mut b) = (host(0, mtu, buffer_bytes), host(1, mtu, buffer_bytes));
    b.listen(80, plan, 1);
    a.connect(SocketAddrV4::new(guest_address(1), 80), plan);
    let mut links = [Link::new(link, seed), Link::new(link, seed + 1)];
    let mut checker = Checker::new(true);
    checker.excuse_rounding(guest_address(0));
    checker.excuse_rounding(guest_address(1));
    let until = Instant::from_us(3_600_000_000);
    let (done, at) = run_pair((&mut a, &mut b), &mut links, &mut checker, mtu, until, |a, b| {
        a.finished().len() == 1 && b.finished().len() == 1
    });
    checker.assert_clean();
    assert!(done, "at {at}: {:?} {:?}, {link:?} mtu {mtu} buffer {buffer_bytes}", a.states(), b.states());
    assert!(a.finished().iter().chain(b.finished()).all(|(_, outcome)| *outcome == Outcome::Done), "at {at}");
    assert!(checker.segments() > 6);
}

#[test]
fn a_clean_wire() {
    for mtu in [576, 1500, 9000, 65_535] {
        for buffer_bytes in [4096, 65_535, 1 << 20] {
            transfer(LinkConfig::default(), mtu, buffer_bytes, Plan::both(1_000_000, 300_000), 1);
        }
    }
}

#[test]
fn an_impaired_wire() {
    let link = LinkConfig {
        loss: 0.02,
        duplicate: 0.01,
        reorder: 0.02,
        corrupt: 0.01,
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(1),
        ..LinkConfig::default()
    };
    for seed in 0..4 {
        transfer(link, 1500, 65_535, Plan::both(200_000, 100_000), seed * 100);
        transfer(
            link,
            1500,
            65_535,
            Plan { half_close: true, ..Plan::both(50_000, 150_000) },
            seed * 100 + 7,
        );
        transfer(link, 576, 16_384, Plan { echo: true, ..Plan::both(60_000, 60_000) }, seed * 100 + 9);
    }
}
