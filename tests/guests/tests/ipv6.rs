//! A guest in v86 over IPv6: it reaches a server through the relay, and a Linux kernel on its LAN reaches it and is reached.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr};
use std::time::Duration;

use netloom_guests::V86;
use netloom_interop::lab::{GATEWAY_V6, Lab, NAMED, ROUTER, SERVER_V6, sized};
use netloom_interop::transfer::{Pattern, Server};

const MIB: u64 = 1 << 20;

/// The address that the guest makes of the advertised prefix; the guest waits for it.
fn advertised_address(guest: &mut V86) -> Ipv6Addr {
    let listed = guest
        .must("until ip -6 addr show dev eth0 scope global | grep inet6 | grep -v tentative; do sleep 0.1; done")
        .unwrap();
    let address = listed.split_whitespace().find_map(|word| word.strip_suffix("/64")).unwrap();
    address.parse().unwrap()
}

fn pattern(length: u64, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    Pattern::new(seed).fill(&mut bytes);
    bytes
}

fn reaches_a_server_and_a_kernel_and_is_reached(nic: &str) {
    let lab = Lab::new(&["--ipv6", "ula", "--no-dhcp"]).unwrap();
    let server = Server::start(&lab.server, SocketAddr::from((SERVER_V6, 0))).unwrap();
    let kernel = lab.guest("/", None).unwrap();
    let kernels = kernel.advertised_address().unwrap();
    let mut guest = V86::restore(&lab, nic).unwrap();
    let guests = advertised_address(&mut guest);
    assert_eq!(guests.segments()[..4], GATEWAY_V6.segments()[..4]);

    // The kernel asks by multicast who has the address, and the ne2k receives none but what the relay makes unicast.
    assert!(kernel.pings(guests, 3));

    // The gateway, and by it the world.
    for target in [GATEWAY_V6, SERVER_V6, kernels] {
        guest.must(&format!("ping -6 -c 2 -W 10 {target}")).unwrap();
    }
    assert!(guest.must("ip -6 route show default").unwrap().contains(&format!("via {ROUTER}")));
    let named = guest.must(&format!("nslookup -type=aaaa some.test {GATEWAY_V6}")).unwrap();
    assert!(named.contains(&NAMED.1.to_string()), "{named}");
    guest.moves_bytes(server.address(), sized(1, 16) * MIB).unwrap();
    let (status, said) = guest.run(&format!("nc {SERVER_V6} 9")).unwrap();
    assert!(status != 0 && said.contains("refused"), "{said}");

    // The other machine on the LAN, from either side.
    let neighbor = Server::start(&kernel.namespace, SocketAddr::from((kernels, 0))).unwrap();
    guest.moves_bytes(neighbor.address(), sized(1, 16) * MIB).unwrap();
    guest.must("nc -ll -p 7 -e cat >/dev/null 2>&1 &").unwrap();
    guest.must("until netstat -lnt | grep -q ':7 '; do sleep 0.1; done").unwrap();
    let echo = SocketAddr::from((guests, 7));
    let mut stream = kernel.namespace.connect(echo, Duration::from_secs(20)).unwrap().unwrap();
    let sent = pattern(sized(1, 8) * MIB / 2, 9);
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn({
        let sent = sent.clone();
        move || {
            writer.write_all(&sent)?;
            writer.shutdown(Shutdown::Write)
        }
    });
    let mut came = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.read_to_end(&mut came).unwrap();
    writing.join().unwrap().unwrap();
    assert!(came == sent, "{} of {} bytes came back, or others", came.len(), sent.len());
}

#[test]
fn virtio_reaches_a_server_and_a_kernel_and_is_reached() {
    reaches_a_server_and_a_kernel_and_is_reached("virtio");
}

#[test]
fn ne2k_reaches_a_server_and_a_kernel_and_is_reached() {
    reaches_a_server_and_a_kernel_and_is_reached("ne2k");
}
