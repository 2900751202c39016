//! Host names of clients.

use core::net::Ipv4Addr;

use super::super::DhcpServer;
use super::super::name::{fqdn_label, host_label};
use super::client::*;
use crate::time::Instant;

#[test]
fn names_become_labels_of_host_names() {
    let cases: [(&[u8], Option<&str>); 19] = [
        (b"web", Some("web")),
        (b"WIN95", Some("win95")),
        (b"WIN95\0", Some("win95")),
        (b"dos\0garbage", Some("dos")),
        (b"web.example.org", Some("web")),
        (b"JOHN_S PC", Some("john-s-pc")),
        (b" spaced ", Some("spaced")),
        (b"-edge-", Some("edge")),
        (b"j\xf6rg", Some("j-rg")),
        (b"<script>", Some("script")),
        (b"a1", Some("a1")),
        (b"", None),
        (b"\0", None),
        (b"...", None),
        (b"---", None),
        (b"12345", None),
        (b"localhost", None),
        (b"WPAD", None),
        (b"isatap.lan", None),
    ];
    for (told, label) in cases {
        assert_eq!(host_label(told).as_deref(), label, "{:?}", String::from_utf8_lossy(told));
    }
    assert_eq!(host_label(&[b'x'; 255]).unwrap().len(), 63);
}

#[test]
fn names_of_option_81_come_in_two_encodings() {
    assert_eq!(fqdn_label(b"\x00\xff\xffPC1.lan").as_deref(), Some("pc1"));
    assert_eq!(fqdn_label(b"\x05\x00\x00\x03PC2\x03lan\x00").as_deref(), Some("pc2"));
    for broken in [&b""[..], b"\x04\x00", b"\x04\x00\x00", b"\x04\x00\x00\x09pc", b"\x00\x00\x00"] {
        assert_eq!(fqdn_label(broken), None);
    }
    let mut server = server();
    let both = Message::new(REQUEST, mac(1)).wants(ip(100)).name("old").option(81, b"\x01\x00\x00new.lan");
    assert_eq!(both.answer(&mut server, at_s(0)).option(12), Some(&b"new"[..]));
}

fn named(server: &mut DhcpServer, s: u64, client: u8, address: u8, name: &str) -> Option<String> {
    let ack = Message::new(REQUEST, mac(client)).wants(ip(address)).name(name).answer(server, at_s(s));
    assert_eq!(ack.kind, ACK);
    ack.option(12).map(|name| String::from_utf8(name.to_vec()).unwrap())
}

fn address_of(server: &DhcpServer, now: Instant, name: &str) -> Option<Ipv4Addr> {
    server.lease_of_name(now, name).map(|lease| lease.address)
}

#[test]
fn names_find_addresses_and_addresses_names_while_the_lease_lasts() {
    let mut server = server();
    Message::new(DISCOVER, mac(1)).name("web").answer(&mut server, at_s(0));
    assert_eq!(address_of(&server, at_s(0), "web"), None, "an offer is not a lease");
    assert_eq!(named(&mut server, 0, 1, 100, "web").as_deref(), Some("web"));
    assert_eq!(address_of(&server, at_s(0), "WEB"), Some(ip(100)));
    assert_eq!(server.name_of_address(at_s(0), ip(100)), Some("web"));
    assert_eq!(address_of(&server, at_s(LEASE_S), "web"), None);
    assert_eq!(server.name_of_address(at_s(LEASE_S), ip(100)), None);
}

#[test]
fn the_first_holder_keeps_a_name_until_its_lease_is_over() {
    let mut server = server();
    assert_eq!(named(&mut server, 0, 1, 100, "web").as_deref(), Some("web"));
    assert_eq!(named(&mut server, 1, 2, 102, "Web"), None);
    assert_eq!(address_of(&server, at_s(1), "web"), Some(ip(100)));
    assert_eq!(named(&mut server, 1800, 1, 100, "web").as_deref(), Some("web"), "renewed");
    assert_eq!(named(&mut server, 3000, 2, 102, "web"), None);
    assert_eq!(named(&mut server, 5401, 2, 102, "web").as_deref(), Some("web"));
    assert_eq!(named(&mut server, 5402, 1, 100, "web"), None, "and then it is the other's");
    assert_eq!(address_of(&server, at_s(5402), "web"), Some(ip(102)));
}

#[test]
fn the_name_of_a_client_that_has_left_is_for_who_asks() {
    let mut server = server();
    named(&mut server, 0, 1, 100, "web");
    server.leave(mac(1));
    assert_eq!(address_of(&server, at_s(1), "web"), Some(ip(100)), "nobody asks");
    assert_eq!(named(&mut server, 1, 2, 102, "web").as_deref(), Some("web"));
    assert_eq!(address_of(&server, at_s(1), "web"), Some(ip(102)));
    assert_eq!(server.name_of_address(at_s(1), ip(100)), None);
    assert_eq!(named(&mut server, 2, 1, 100, "web"), None, "back, and too late");
    server.leave(mac(2));
    assert_eq!(named(&mut server, 3, 2, 102, "web").as_deref(), Some("web"), "back in time");
    assert_eq!(named(&mut server, 4, 1, 100, "web"), None);
}

#[test]
fn a_client_may_change_its_name_and_need_not_repeat_it() {
    let mut server = server();
    named(&mut server, 0, 1, 100, "old");
    named(&mut server, 1, 1, 100, "new");
    assert_eq!(address_of(&server, at_s(1), "old"), None);
    let renewal = Message::new(REQUEST, mac(1)).ciaddr(ip(100)).answer(&mut server, at_s(2));
    assert_eq!((renewal.kind, renewal.option(12)), (ACK, Some(&b"new"[..])));
    assert_eq!(address_of(&server, at_s(2), "new"), Some(ip(100)));
    assert_eq!(named(&mut server, 3, 2, 102, "old").as_deref(), Some("old"));
}
