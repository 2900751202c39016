//! The options of answers, and where a client's may lie.

use core::net::Ipv4Addr;

use super::super::{DhcpConfig, DhcpServer, Network};
use super::client::*;
use crate::time::Duration;

#[test]
fn an_offer_says_everything_a_guest_needs() {
    let offer = Message::new(DISCOVER, mac(1)).name("web").answer(&mut server(), at_s(0));
    let said = |code| offer.option(code).unwrap();
    assert_eq!(said(1), [255, 255, 255, 0]);
    assert_eq!(said(3), SERVER.octets());
    assert_eq!(said(6), SERVER.octets());
    assert_eq!(said(12), b"web");
    assert_eq!(said(15), b"lan");
    assert_eq!(said(26), 1500u16.to_be_bytes());
    assert_eq!(said(28), [10, 0, 0, 255]);
    assert_eq!(said(51), 3600u32.to_be_bytes());
    assert_eq!(said(54), SERVER.octets());
    assert_eq!(said(58), 1800u32.to_be_bytes());
    assert_eq!(said(59), 3150u32.to_be_bytes());
    assert_eq!(offer.codes()[0], 53, "the kind goes first, old clients look for it there");
}

#[test]
fn what_is_asked_for_comes_in_order_and_the_rest_after() {
    let asked = Message::new(DISCOVER, mac(1)).option(55, &[15, 6, 3, 3, 119, 1]);
    let codes = asked.answer(&mut server(), at_s(0)).codes();
    assert_eq!(codes, [53, 54, 51, 15, 6, 3, 1, 58, 59, 28, 26]);
}

#[test]
fn what_there_is_not_is_not_said() {
    let network = Network { router: None, dns: vec![], ..network() };
    let mut server = DhcpServer::new(DhcpConfig { domain: String::new(), ..config() }, network);
    let codes =
        Message::new(DISCOVER, mac(1)).option(55, &[3, 6, 12, 15]).answer(&mut server, at_s(0)).codes();
    assert_eq!(codes, [53, 54, 51, 1, 58, 59, 28, 26]);
}

#[test]
fn configured_dns_servers_replace_the_gateway() {
    let dns = vec![Ipv4Addr::new(9, 9, 9, 9), ip(1)];
    let mut server = DhcpServer::new(DhcpConfig { dns: Some(dns), ..config() }, network());
    let offer = Message::new(DISCOVER, mac(1)).answer(&mut server, at_s(0));
    assert_eq!(offer.option(6), Some(&[9, 9, 9, 9, 10, 0, 0, 1][..]));
}

#[test]
fn the_client_identifier_is_echoed_only_if_sent() {
    let mut server = server();
    let with = Message::new(DISCOVER, mac(1)).option(61, &[1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(with.answer(&mut server, at_s(0)).option(61), Some(&[1, 2, 0, 0, 0, 0, 1][..]));
    assert_eq!(Message::new(DISCOVER, mac(1)).answer(&mut server, at_s(0)).option(61), None);
    let nak = Message::new(REQUEST, mac(1)).wants(SERVER).option(61, b"id").answer(&mut server, at_s(0));
    assert_eq!((nak.kind, nak.option(61)), (NAK, Some(&b"id"[..])));
}

#[test]
fn lease_times_asked_for_are_clamped() {
    let cases = [(0, 3600), (1, 120), (600, 600), (3600, 3600), (7200, 3600), (u32::MAX, 3600)];
    for (asked, given) in cases {
        let offer =
            Message::new(DISCOVER, mac(1)).option(51, &asked.to_be_bytes()).answer(&mut server(), at_s(0));
        let times = (offer.seconds(51), offer.seconds(58), offer.seconds(59));
        assert_eq!(times, (Some(given), Some(given / 2), Some(given * 7 / 8)), "{asked} s");
    }
    let mut server = server();
    let request = Message::new(REQUEST, mac(1)).wants(ip(100)).option(51, &600u32.to_be_bytes());
    assert_eq!(request.answer(&mut server, at_s(0)).kind, ACK);
    assert_eq!(server.lease_of(at_s(599), mac(1)).unwrap().expires, at_s(600));
}

#[test]
fn leases_of_any_configured_length_work() {
    for (lease, told) in [(Duration::MAX, u32::MAX), (Duration::ZERO, 1), (Duration::from_secs(60), 60)] {
        let mut server = DhcpServer::new(DhcpConfig { lease, ..config() }, network());
        let offer = Message::new(DISCOVER, mac(1)).answer(&mut server, at_s(0));
        assert_eq!(offer.seconds(51), Some(told));
    }
    let mut server = DhcpServer::new(DhcpConfig { lease: Duration::MAX, ..config() }, network());
    let offer = Message::new(DISCOVER, mac(1)).answer(&mut server, at_s(0));
    assert_eq!((offer.seconds(58), offer.seconds(59)), (Some(u32::MAX), Some(u32::MAX)), "never");
}

#[test]
fn options_in_sname_and_file_count_if_the_overload_option_says_so() {
    let in_file = [&[50, 4][..], &ip(103).octets(), &[255]].concat();
    let in_sname = [&[12, 3][..], b"web", &[255]].concat();
    let discover = |overload: u8| {
        let message = Message::new(DISCOVER, mac(1)).set(108, &in_file).set(44, &in_sname);
        message.option(52, &[overload]).answer(&mut server(), at_s(0))
    };
    for (overload, address, name) in
        [(0, 100, None), (1, 103, None), (2, 100, Some("web")), (3, 103, Some("web"))]
    {
        let offer = discover(overload);
        assert_eq!(
            (offer.yiaddr, offer.option(12)),
            (ip(address), name.map(str::as_bytes)),
            "overload {overload}"
        );
    }
}

#[test]
fn parts_of_an_option_are_joined() {
    let message = Message::new(DISCOVER, mac(1)).option(12, b"long").option(12, b"name");
    assert_eq!(message.answer(&mut server(), at_s(0)).option(12), Some(&b"longname"[..]));
}

#[test]
fn long_answers_stay_within_what_the_client_takes() {
    let domain = "d".repeat(250);
    let dns = Some((1..=60).map(ip).collect());
    let config = || DhcpConfig { domain: domain.clone(), dns, ..config() };
    let mut server = DhcpServer::new(config(), network());
    let bulky = || Message::new(DISCOVER, mac(1)).option(61, &[7; 200]).option(82, &[8; 60]);
    let small = bulky().answer(&mut server, at_s(0));
    assert!(small.reply.message.len() <= 548);
    assert_eq!((small.option(61).unwrap().len(), small.option(82).unwrap().len()), (200, 60));
    assert_eq!((small.option(15), small.option(1).is_some()), (None, true));
    let large = bulky().option(57, &1500u16.to_be_bytes()).answer(&mut server, at_s(0));
    assert!(large.reply.message.len() <= 1472);
    assert_eq!(large.option(15).unwrap().len(), 250);
    assert_eq!(large.option(6).unwrap().len(), 32);
    let tiny = bulky().option(57, &[0, 1]).answer(&mut server, at_s(0));
    assert_eq!(tiny.reply.message, small.reply.message, "nobody takes less than 576 bytes");
}
