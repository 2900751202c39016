//! Ports of the relay's host that lead to the Linux kernel as a guest, and whom it sees there.

#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netloom_interop::lab::{GATEWAY, GATEWAY_V6, Guest, Lab, sized};
use netloom_interop::namespace::Namespace;
use netloom_interop::transfer::{Kind, Server, transfer};

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);
/// The host's addresses, as the visitors in the server's namespace reach it.
const HOST: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)), IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1))];
const GATEWAYS: [IpAddr; 2] = [IpAddr::V4(GATEWAY), IpAddr::V6(GATEWAY_V6)];

fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, peer) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (stream, peer)
}

/// A connection from a namespace.
fn visit(from: &Namespace, to: SocketAddr) -> TcpStream {
    let stream = from.connect(to, PATIENCE).unwrap().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Any address of a family.
fn any(like: IpAddr, port: u16) -> SocketAddr {
    let any: IpAddr =
        if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, port)
}

/// A guest of which the gateway knows an address of either family.
fn dual_stack_guest(lab: &Lab) -> Guest {
    let (guest, ..) = lab.dual_stack_guest(None).unwrap();
    assert!(GATEWAYS.into_iter().all(|gateway| guest.pings(gateway, 1)));
    guest
}

#[test]
fn the_guests_kernel_sees_who_connects() {
    let keep = ["--forward", ":7000=first:7000,keep-source", "--forward", "[::]:7000=first:7000,keep-source"];
    let plain = ["--forward", ":7001=first:7000", "--forward", "[::]:7001=first:7000"];
    let lab = Lab::new(&[&keep[..], &plain, &["--ipv6", "ula"]].concat()).unwrap();
    let guest = dual_stack_guest(&lab);
    for host in HOST {
        let listener = guest.namespace.listen(any(host, 7000)).unwrap();
        for _ in 0..3 {
            let mut visitor = visit(&lab.server, SocketAddr::new(host, 7000));
            let (mut served, peer) = accept(&listener);
            assert_eq!(peer, visitor.local_addr().unwrap());
            visitor.write_all(b"who am I?").unwrap();
            served.read_exact(&mut [0; 9]).unwrap();
            served.write_all(peer.to_string().as_bytes()).unwrap();
            drop(served);
            let mut told = String::new();
            visitor.read_to_string(&mut told).unwrap();
            assert_eq!(told, visitor.local_addr().unwrap().to_string());
        }
        // Where it was not asked to be kept, and where the guest could not answer.
        let _plain = visit(&lab.server, SocketAddr::new(host, 7001));
        let is_gateway = |(_, peer): (TcpStream, SocketAddr)| GATEWAYS.contains(&peer.ip().to_canonical());
        assert!(is_gateway(accept(&listener)));
        let loopback: IpAddr =
            if host.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let _local = visit(&lab.host, SocketAddr::new(loopback, 7000));
        assert!(is_gateway(accept(&listener)));
    }
}

#[test]
fn transfers_whose_source_is_kept_are_whole() {
    let keep = ["--forward", ":7000=first:7000,keep-source", "--forward", "[::]:7000=first:7000,keep-source"];
    let lab = Lab::new(&[&keep[..], &["--ipv6", "ula"]].concat()).unwrap();
    let guest = dual_stack_guest(&lab);
    for host in HOST {
        let _server = Server::start(&guest.namespace, any(host, 7000)).unwrap();
        for (seed, kind) in [Kind::Download, Kind::Upload, Kind::HalfClose].into_iter().enumerate() {
            let bytes = sized(8, 256) * MIB;
            transfer(&lab.server, SocketAddr::new(host, 7000), kind, bytes, seed as u64).unwrap();
        }
    }
}

#[test]
fn the_guests_kernel_sees_who_sends_datagrams() {
    let forwards = [
        "--forward",
        "udp::7000=first:7000,keep-source",
        "--forward",
        "udp:[::]:7000=first:7000,keep-source",
        "--forward",
        "udp::7001=first:7000",
    ];
    let lab = Lab::new(&[&forwards[..], &["--ipv6", "ula"]].concat()).unwrap();
    let guest = dual_stack_guest(&lab);
    for host in HOST {
        let server = guest.namespace.bind_udp(any(host, 7000)).unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let ends = lab.server.run(move || {
            let route = std::net::UdpSocket::bind(any(host, 0))?;
            route.connect(SocketAddr::new(host, 7000))?;
            std::io::Result::Ok((route.local_addr()?, route))
        });
        let mut buffer = [0; 2000];
        let (own, visitor) = ends.unwrap().unwrap();
        visitor.set_read_timeout(Some(PATIENCE)).unwrap();
        for length in [0, 1, 1000, 1400] {
            visitor.send(&vec![7; length]).unwrap();
            let (came, peer) = server.recv_from(&mut buffer).unwrap();
            assert_eq!((came, peer), (length, own));
            server.send_to(&buffer[..came], peer).unwrap();
            // Connected, it hears the address that it asked and no other.
            assert_eq!(visitor.recv(&mut buffer).unwrap(), length);
        }
    }
    let server = guest.namespace.bind_udp(any(HOST[0], 7000)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let visitor = lab.server.bind_udp(any(HOST[0], 0)).unwrap();
    visitor.send_to(b"?", SocketAddr::new(HOST[0], 7001)).unwrap();
    assert_eq!(server.recv_from(&mut [0; 8]).unwrap().1.ip(), GATEWAY);
}

#[test]
fn the_first_guest_is_not_this_host() {
    let forwards = ["--forward", ":7000=first:7070", "--forward", ":7001=192.168.86.2:7070"];
    let lab = Lab::new(&[&forwards[..], &["--tap", "tap0,address=192.168.86.2/24"]].concat()).unwrap();
    // It is on the LAN before anybody else.
    lab.host.exec("ping", &["-n", "-c", "1", "-W", "5", &GATEWAY.to_string()]).unwrap();
    let own = lab.host.listen(SocketAddr::from(([192, 168, 86, 2], 7070))).unwrap();
    let named = visit(&lab.server, SocketAddr::new(HOST[0], 7001));
    assert_eq!(accept(&own).1.ip(), GATEWAY);
    drop(named);
    // Who comes before its guest waits for it.
    let mut visitor = visit(&lab.server, SocketAddr::new(HOST[0], 7000));
    let guest = lab.guest("/", None).unwrap();
    let listener = guest.namespace.listen(any(HOST[0], 7070)).unwrap();
    guest.lease().unwrap();
    let (mut served, _) = accept(&listener);
    visitor.write_all(b"hello").unwrap();
    served.read_exact(&mut [0; 5]).unwrap();
    own.set_nonblocking(true).unwrap();
    assert_eq!(own.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_namespace_on_a_tap_is_a_guest_as_others_are() {
    let inside = Namespace::new().unwrap();
    let tap = format!("eth0,netns={},address=192.168.86.9/24", inside.name());
    let lab = Lab::new(&["--forward", ":7000=first:7000", "--tap", &tap]).unwrap();
    inside.exec("ping", &["-n", "-c", "1", "-W", "5", &GATEWAY.to_string()]).unwrap();
    let listener = inside.listen(any(HOST[0], 7000)).unwrap();
    let _visitor = visit(&lab.server, SocketAddr::new(HOST[0], 7000));
    assert_eq!(accept(&listener).1.ip(), GATEWAY);
}
