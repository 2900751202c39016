//! Which address a client gets.

use core::net::Ipv4Addr;

use super::super::{DhcpConfig, DhcpError, DhcpServer, Network};
use super::client::*;
use crate::addr::Ipv4Net;

#[test]
fn pool_leaves_out_fixed_addresses_and_runs_dry() {
    let mut server = server();
    let got: Vec<Ipv4Addr> = (1..=3).map(|n| lease(&mut server, at_s(0), mac(n))).collect();
    assert_eq!(got, [ip(100), ip(102), ip(103)]);
    assert_eq!(Message::new(DISCOVER, mac(4)).send(&mut server, at_s(0)), Err(DhcpError::PoolEmpty));
}

#[test]
fn fixed_addresses_are_their_owners_inside_the_pool_and_out() {
    let mut server = server();
    assert_eq!(lease(&mut server, at_s(0), mac(0xf1)), ip(50));
    assert_eq!(lease(&mut server, at_s(0), mac(0xf2)), ip(101));
    let other = Message::new(REQUEST, mac(0xf1)).wants(ip(100)).answer(&mut server, at_s(0));
    assert_eq!(other.kind, NAK, "not any other");
    assert_eq!(Message::new(REQUEST, mac(1)).wants(ip(101)).answer(&mut server, at_s(0)).kind, NAK);
    assert_eq!(server.leases(at_s(0)).map(|lease| lease.address).collect::<Vec<_>>(), [ip(50), ip(101)]);
}

#[test]
fn a_fixed_address_is_its_owners_once_who_had_it_has_left_it() {
    let mut server = server();
    assert_eq!(lease(&mut server, at_s(0), mac(1)), ip(100));
    server.set_fixed(vec![(mac(9), ip(100))]);
    assert_eq!(lease(&mut server, at_s(1), mac(9)), ip(101), "one of the pool for now");
    let renewed = Message::new(REQUEST, mac(9)).ciaddr(ip(101)).answer(&mut server, at_s(2));
    assert_eq!(renewed.kind, ACK);
    let wanted = Message::new(REQUEST, mac(9)).wants(ip(100)).answer(&mut server, at_s(2));
    assert_eq!(wanted.kind, NAK, "another uses it");
    let refused = Message::new(REQUEST, mac(1)).ciaddr(ip(100)).answer(&mut server, at_s(3));
    assert_eq!(refused.kind, NAK, "it is no longer the pool's");
    assert_eq!(lease(&mut server, at_s(3), mac(1)), ip(102));
    let renewed = Message::new(REQUEST, mac(9)).ciaddr(ip(101)).answer(&mut server, at_s(4));
    assert_eq!(renewed.kind, NAK, "its own is free");
    assert_eq!(lease(&mut server, at_s(4), mac(9)), ip(100));
}

#[test]
fn a_fixed_address_is_its_owners_once_the_lease_of_who_had_it_is_over() {
    let mut server = server();
    assert_eq!(lease(&mut server, at_s(0), mac(1)), ip(100));
    server.set_fixed(vec![(mac(9), ip(100))]);
    assert_eq!(lease(&mut server, at_s(9000), mac(9)), ip(100));
}

#[test]
fn pool_over_a_whole_network_skips_what_is_not_a_guests() {
    let config =
        DhcpConfig { first: Ipv4Addr::new(0, 0, 0, 0), last: Ipv4Addr::BROADCAST, fixed: vec![], ..config() };
    let network =
        Network { subnet: Ipv4Net::new(ip(0), 29), router: Some(ip(2)), reserved: vec![ip(6)], ..network() };
    let mut server = DhcpServer::new(config, network);
    let got: Vec<Ipv4Addr> = (1..=3).map(|n| lease(&mut server, at_s(0), mac(n))).collect();
    assert_eq!(got, [ip(3), ip(4), ip(5)]);
    assert_eq!(Message::new(DISCOVER, mac(4)).send(&mut server, at_s(0)), Err(DhcpError::PoolEmpty));
}

#[test]
fn a_backward_pool_is_empty() {
    let config = DhcpConfig { first: ip(103), last: ip(100), ..config() };
    let mut server = DhcpServer::new(config, network());
    assert_eq!(Message::new(DISCOVER, mac(1)).send(&mut server, at_s(0)), Err(DhcpError::PoolEmpty));
}

#[test]
fn a_client_finds_its_address_again_after_the_lease_is_over() {
    let mut server = server();
    assert_eq!(lease(&mut server, at_s(0), mac(1)), ip(100));
    assert_eq!(lease(&mut server, at_s(10), mac(2)), ip(102));
    assert_eq!(lease(&mut server, at_s(9000), mac(3)), ip(103), "a fresh address before another's old one");
    assert_eq!(lease(&mut server, at_s(9001), mac(2)), ip(102));
    assert_eq!(lease(&mut server, at_s(9002), mac(1)), ip(100));
}

#[test]
fn expired_leases_are_reused_oldest_first() {
    let mut server = server();
    for (n, s) in [(1, 20), (2, 0), (3, 10)] {
        lease(&mut server, at_s(s), mac(n));
    }
    let offers: Vec<Ipv4Addr> = (4..=6).map(|n| lease(&mut server, at_s(9000), mac(n))).collect();
    assert_eq!(offers, [ip(102), ip(103), ip(100)]);
    assert!(server.lease_of(at_s(9000), mac(1)).is_none());
    assert_eq!(server.leases(at_s(9000)).count(), 3);
}

#[test]
fn an_offer_is_kept_for_a_minute() {
    let mut server = server();
    for n in 1..=3 {
        Message::new(DISCOVER, mac(n)).answer(&mut server, at_s(0));
    }
    assert_eq!(Message::new(DISCOVER, mac(4)).send(&mut server, at_s(59)), Err(DhcpError::PoolEmpty));
    assert_eq!(Message::new(DISCOVER, mac(4)).answer(&mut server, at_s(60)).yiaddr, ip(100));
}

#[test]
fn asking_anew_does_not_shorten_a_lease() {
    let mut server = server();
    lease(&mut server, at_s(0), mac(1));
    Message::new(DISCOVER, mac(1)).answer(&mut server, at_s(5));
    assert_eq!(server.lease_of(at_s(3599), mac(1)).unwrap().address, ip(100));
}

#[test]
fn the_address_asked_for_is_given_if_free_else_another() {
    let mut server = server();
    assert_eq!(Message::new(DISCOVER, mac(1)).wants(ip(103)).answer(&mut server, at_s(0)).yiaddr, ip(103));
    assert_eq!(Message::new(DISCOVER, mac(2)).wants(ip(103)).answer(&mut server, at_s(0)).yiaddr, ip(100));
    for unfit in [ip(101), ip(50), SERVER, ip(255), Ipv4Addr::new(192, 168, 0, 1)] {
        assert_eq!(Message::new(DISCOVER, mac(3)).wants(unfit).answer(&mut server, at_s(0)).yiaddr, ip(102));
    }
}

#[test]
fn a_client_has_one_address_and_leaves_the_old_one() {
    let mut server = server();
    assert_eq!(lease(&mut server, at_s(0), mac(1)), ip(100));
    assert_eq!(Message::new(REQUEST, mac(1)).wants(ip(103)).answer(&mut server, at_s(0)).kind, ACK);
    assert_eq!(server.leases(at_s(0)).map(|l| l.address).collect::<Vec<_>>(), [ip(103)]);
    assert_eq!(lease(&mut server, at_s(0), mac(2)), ip(102));
    assert_eq!(lease(&mut server, at_s(0), mac(3)), ip(100), "the address it left is the pool's again");
}

#[test]
fn the_client_identifier_finds_the_address_of_a_new_mac_once_it_is_free() {
    let mut server = server();
    let discover = |n| Message::new(DISCOVER, mac(n)).option(61, b"\xffduid");
    let request = Message::new(REQUEST, mac(1)).wants(ip(102)).option(61, b"\xffduid");
    assert_eq!(request.answer(&mut server, at_s(0)).kind, ACK);
    assert_eq!(
        discover(2).answer(&mut server, at_s(0)).yiaddr,
        ip(100),
        "a copy of the guest is another guest"
    );
    let release = Message::new(RELEASE, mac(1)).ciaddr(ip(102));
    assert_eq!(release.send(&mut server, at_s(1)), Ok(None));
    // The copy was the last to use the identifier: its address is the one that a third finds.
    assert_eq!(discover(3).answer(&mut server, at_s(61)).yiaddr, ip(100));
}

#[test]
fn addresses_in_use_by_others_are_not_offered_and_come_back_later() {
    let mut server = server();
    let message = Message::new(DISCOVER, mac(1)).option(255, &[]).bytes;
    let reply = server.handle(at_s(0), &message, &|a, _| a == ip(100)).unwrap().unwrap();
    assert_eq!(Parsed::of(&reply).yiaddr, ip(102));
    assert_eq!(server.handle(at_s(0), &message, &|_, _| true), Err(DhcpError::PoolEmpty));
    let offered = |server: &mut DhcpServer, s| Message::new(DISCOVER, mac(2)).answer(server, at_s(s)).yiaddr;
    assert_eq!(Message::new(DISCOVER, mac(2)).send(&mut server, at_s(59)), Err(DhcpError::PoolEmpty));
    assert_eq!(offered(&mut server, 599), ip(102), "the first client's offer is over, the others rest");
    assert_eq!(Message::new(DISCOVER, mac(3)).send(&mut server, at_s(599)), Err(DhcpError::PoolEmpty));
    assert_eq!(Message::new(DISCOVER, mac(3)).answer(&mut server, at_s(600)).yiaddr, ip(100));
}

#[test]
fn a_declined_address_rests() {
    let mut server = server();
    let address = lease(&mut server, at_s(0), mac(1));
    let stranger = Message::new(DECLINE, mac(2)).wants(address).server_id(SERVER);
    assert_eq!(stranger.send(&mut server, at_s(0)), Ok(None));
    assert_eq!(server.leases(at_s(0)).count(), 1);
    let decline = Message::new(DECLINE, mac(1)).wants(address).server_id(SERVER);
    assert_eq!(decline.send(&mut server, at_s(0)), Ok(None));
    assert_eq!(server.leases(at_s(0)).count(), 0);
    assert_eq!(lease(&mut server, at_s(1), mac(1)), ip(102));
    assert_eq!(Message::new(REQUEST, mac(2)).wants(address).answer(&mut server, at_s(599)).kind, NAK);
    assert_eq!(Message::new(REQUEST, mac(2)).wants(address).answer(&mut server, at_s(600)).kind, ACK);
}

#[test]
fn declining_does_not_empty_the_pool() {
    let mut server = server();
    for n in 1..=40 {
        let address = lease(&mut server, at_s(0), mac(n));
        let decline = Message::new(DECLINE, mac(n)).wants(address).server_id(SERVER);
        assert_eq!(decline.send(&mut server, at_s(0)), Ok(None));
    }
    assert_eq!(server.leases(at_s(0)).count(), 0);
    lease(&mut server, at_s(0), mac(50));
    lease(&mut server, at_s(0), mac(51));
}
