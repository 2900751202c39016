//! Every message of a client in every state, and where its answer goes.

use core::net::Ipv4Addr;

use super::super::{CLIENT_PORT, DhcpError, SERVER_PORT};
use super::client::*;
use crate::addr::MacAddr;

#[test]
fn discover_to_ack_in_two_messages() {
    let mut server = server();
    let offer = Message::new(DISCOVER, mac(1)).answer(&mut server, at_s(0));
    assert_eq!((offer.kind, offer.yiaddr, offer.ciaddr), (OFFER, ip(100), Ipv4Addr::UNSPECIFIED));
    assert_eq!(offer.option(54), Some(&SERVER.octets()[..]));
    assert_eq!(offer.seconds(51), Some(3600));
    assert_eq!(server.leases(at_s(0)).count(), 0, "an offer is not a lease");

    let request = Message::new(REQUEST, mac(1)).wants(ip(100)).server_id(SERVER);
    let ack = request.answer(&mut server, at_s(1));
    assert_eq!((ack.kind, ack.yiaddr), (ACK, ip(100)));
    let lease = server.lease_of(at_s(1), mac(1)).unwrap();
    assert_eq!((lease.address, lease.expires), (ip(100), at_s(3601)));
    assert!(server.lease_of(at_s(3601), mac(1)).is_none());
}

#[test]
fn init_reboot_keeps_an_address_also_when_the_server_forgot_it() {
    let mut forgetful = server();
    let ack = Message::new(REQUEST, mac(1)).wants(ip(102)).answer(&mut forgetful, at_s(0));
    assert_eq!((ack.kind, ack.yiaddr), (ACK, ip(102)));
}

#[test]
fn renewing_and_rebinding_extend_the_lease_to_the_clients_address() {
    let mut server = server();
    let address = lease(&mut server, at_s(0), mac(1));
    for now in [at_s(1800), at_s(3150)] {
        let ack = Message::new(REQUEST, mac(1)).ciaddr(address).answer(&mut server, now);
        assert_eq!((ack.kind, ack.yiaddr, ack.ciaddr), (ACK, address, address));
        assert_eq!((ack.reply.destination, ack.reply.destination_mac), (address, Some(mac(1))));
    }
    assert!(server.lease_of(at_s(3150 + LEASE_S - 1), mac(1)).is_some());
}

#[test]
fn renewing_an_address_that_another_claims_is_granted_but_asking_for_it_anew_is_not() {
    let mut server = server();
    let address = lease(&mut server, at_s(0), mac(1));
    let claimed = |a: Ipv4Addr, m: MacAddr| a == address && m == mac(1);
    let kind = |server: &mut super::super::DhcpServer, message: Message| {
        Parsed::of(&server.handle(at_s(1), &message.option(255, &[]).bytes, &claimed).unwrap().unwrap()).kind
    };
    assert_eq!(kind(&mut server, Message::new(REQUEST, mac(1)).ciaddr(address)), ACK);
    assert_eq!(kind(&mut server, Message::new(REQUEST, mac(1)).wants(address)), NAK);
}

#[test]
fn nak_is_broadcast_and_bare() {
    let mut server = server();
    let taken = lease(&mut server, at_s(0), mac(1));
    let wrong = [Ipv4Addr::new(192, 168, 1, 5), taken, SERVER, ip(254), ip(50), ip(99), ip(255), ip(0)];
    for address in wrong {
        for message in [
            Message::new(REQUEST, mac(2)).wants(address),
            Message::new(REQUEST, mac(2)).wants(address).server_id(SERVER),
            Message::new(REQUEST, mac(2)).ciaddr(address),
        ] {
            let nak = message.answer(&mut server, at_s(0));
            assert_eq!(
                (nak.kind, nak.yiaddr, nak.ciaddr),
                (NAK, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED)
            );
            assert_eq!(nak.reply.destination, Ipv4Addr::BROADCAST);
            assert_eq!(nak.reply.destination_mac, Some(MacAddr::BROADCAST));
            assert_eq!(nak.codes(), [53, 54, 56]);
        }
    }
    assert_eq!(server.lease_of(at_s(0), mac(1)).unwrap().address, taken);
}

#[test]
fn another_servers_client_frees_our_offer() {
    let mut server = server();
    let offer = Message::new(DISCOVER, mac(1)).answer(&mut server, at_s(0));
    let elsewhere = Message::new(REQUEST, mac(1)).wants(ip(77)).server_id(ip(9));
    assert_eq!(elsewhere.send(&mut server, at_s(0)), Ok(None));
    let other = Message::new(REQUEST, mac(2)).wants(offer.yiaddr).answer(&mut server, at_s(0));
    assert_eq!(other.kind, ACK);
}

#[test]
fn request_without_any_address_is_malformed() {
    assert_eq!(Message::new(REQUEST, mac(1)).send(&mut server(), at_s(0)), Err(DhcpError::Malformed));
}

#[test]
fn rapid_commit_binds_at_once() {
    let mut server = server();
    let ack = Message::new(DISCOVER, mac(1)).option(80, &[]).answer(&mut server, at_s(0));
    assert_eq!((ack.kind, ack.option(80)), (ACK, Some(&[][..])));
    assert_eq!(server.leases(at_s(0)).count(), 1);
    assert_eq!(Message::new(DISCOVER, mac(2)).answer(&mut server, at_s(0)).option(80), None);
}

#[test]
fn inform_tells_the_configuration_and_no_address() {
    let mut server = server();
    let ack = Message::new(INFORM, mac(1)).ciaddr(ip(20)).answer(&mut server, at_s(0));
    assert_eq!((ack.kind, ack.yiaddr, ack.ciaddr), (ACK, Ipv4Addr::UNSPECIFIED, ip(20)));
    assert_eq!((ack.reply.destination, ack.reply.destination_mac), (ip(20), Some(mac(1))));
    for absent in [51, 58, 59] {
        assert_eq!(ack.option(absent), None);
    }
    assert_eq!(ack.option(1), Some(&[255, 255, 255, 0][..]));
    assert_eq!(server.leases(at_s(0)).count(), 0);
    let ack = Message::new(INFORM, mac(1)).answer(&mut server, at_s(0));
    assert_eq!(ack.reply.destination, Ipv4Addr::BROADCAST);
}

#[test]
fn release_frees_the_address_for_others_only_when_it_is_the_clients() {
    let mut server = server();
    let address = lease(&mut server, at_s(0), mac(1));
    for stranger in [
        Message::new(RELEASE, mac(2)).ciaddr(address).server_id(SERVER),
        Message::new(RELEASE, mac(1)).ciaddr(address).server_id(ip(9)),
    ] {
        assert_eq!(stranger.send(&mut server, at_s(1)), Ok(None));
        assert_eq!(server.leases(at_s(1)).count(), 1);
    }
    let release = Message::new(RELEASE, mac(1)).ciaddr(address).server_id(SERVER);
    assert_eq!(release.send(&mut server, at_s(1)), Ok(None));
    assert_eq!(server.leases(at_s(1)).count(), 0);
    assert_eq!(Message::new(REQUEST, mac(2)).wants(address).answer(&mut server, at_s(1)).kind, ACK);
}

#[test]
fn answers_go_where_the_flag_and_the_addresses_say() {
    let mut server = server();
    let unicast = Message::new(DISCOVER, mac(1)).answer(&mut server, at_s(0)).reply;
    assert_eq!((unicast.destination, unicast.destination_mac), (ip(100), Some(mac(1))));
    assert_eq!(unicast.destination_port, CLIENT_PORT);
    assert_eq!(unicast.message[10..12], [0, 0]);

    let broadcast = Message::new(DISCOVER, mac(1)).broadcast().answer(&mut server, at_s(0)).reply;
    assert_eq!(
        (broadcast.destination, broadcast.destination_mac),
        (Ipv4Addr::BROADCAST, Some(MacAddr::BROADCAST))
    );
    assert_eq!(broadcast.message[10..12], [0x80, 0]);
}

#[test]
fn relay_agents_of_the_subnet_are_answered_with_their_information() {
    let mut server = server();
    let via = Message::new(DISCOVER, mac(1)).giaddr(ip(9)).option(82, b"\x01\x02ab");
    let offer = via.answer(&mut server, at_s(0));
    assert_eq!((offer.reply.destination, offer.reply.destination_port), (ip(9), SERVER_PORT));
    assert_eq!(offer.reply.destination_mac, None);
    assert_eq!(offer.reply.message[24..28], ip(9).octets());
    assert_eq!(offer.option(82), Some(&b"\x01\x02ab"[..]));

    let nak = Message::new(REQUEST, mac(1)).wants(SERVER).giaddr(ip(9)).answer(&mut server, at_s(0));
    assert_eq!((nak.kind, nak.reply.destination), (NAK, ip(9)));
    assert_eq!(nak.reply.message[10..12], [0x80, 0], "the agent shall broadcast it");

    let foreign = Message::new(DISCOVER, mac(1)).giaddr(Ipv4Addr::new(172, 16, 0, 1));
    assert_eq!(foreign.send(&mut server, at_s(0)), Ok(None));
}

#[test]
fn what_is_not_for_a_dhcp_server_is_ignored_and_what_is_broken_is_malformed() {
    let mut server = server();
    let discover = || Message::new(DISCOVER, mac(1));
    let mut bootp = discover();
    bootp.bytes.truncate(240);
    assert_eq!(bootp.send(&mut server, at_s(0)), Ok(None), "BOOTP");
    assert_eq!(discover().set(236, &[0; 4]).send(&mut server, at_s(0)), Ok(None), "no magic cookie");
    assert_eq!(discover().set(0, &[2]).send(&mut server, at_s(0)), Ok(None), "a server's message");

    let broken = [
        ("operation", discover().set(0, &[3])),
        ("hardware type", discover().set(1, &[6])),
        ("address length", discover().set(2, &[16])),
        ("group address", discover().set(28, &[0xff; 6])),
        ("no address", discover().set(28, &[0; 6])),
        ("kind", Message::new(99, mac(1))),
        ("server's kind", Message::new(OFFER, mac(1))),
    ];
    for (what, message) in broken {
        assert_eq!(message.send(&mut server, at_s(0)), Err(DhcpError::Malformed), "{what}");
    }
    let mut cut = discover().name("guest").bytes;
    cut.pop();
    assert_eq!(server.handle(at_s(0), &cut, &|_, _| false), Err(DhcpError::Malformed), "option past the end");
    assert_eq!(server.handle(at_s(0), &cut[..235], &|_, _| false), Err(DhcpError::Malformed), "short");
}

#[test]
fn a_missing_end_option_is_forgiven() {
    let message = Message::new(DISCOVER, mac(1)).bytes;
    let reply = server().handle(at_s(0), &message, &|_, _| false).unwrap().unwrap();
    assert_eq!(Parsed::of(&reply).kind, OFFER);
}
