//! The client against a server's packets.

use super::*;
use crate::wisp::info::PasswordOffer;

fn ready_v1(credit: u32) -> Client {
    let mut client = Client::new(ClientConfig::default());
    assert_eq!(tell(&mut client, &packet(0, Packet::Continue(credit))), ["Ready"]);
    client
}

#[test]
fn version_1_is_ready_with_the_first_credit() {
    let mut client = Client::new(ClientConfig::default());
    assert!(client.open(Kind::Tcp, "1.2.3.4", 80).is_none());
    tell(&mut client, &packet(0, Packet::Continue(128)));
    assert!(client.is_ready() && client.has_udp() && !client.confirms() && !client.has_half_close());
    client.open(Kind::Tcp, "1.2.3.4", 80).unwrap();
    assert_eq!(
        controls(&mut client),
        [packet(1, Packet::Connect { kind: Kind::Tcp, port: 80, host: "1.2.3.4" })]
    );
}

#[test]
fn each_stream_has_its_own_credit() {
    let mut client = ready_v1(2);
    let [a, b] = [80, 81].map(|port| client.open(Kind::Tcp, "h", port).unwrap());
    let mut out = Vec::new();
    assert!(client.put_data(&mut out, a, [b"1", b""]) && client.put_data(&mut out, a, [b"2", b""]));
    assert!(!client.put_data(&mut out, a, [b"3", b""]) && !client.has_credit(a));
    assert!(client.has_credit(b));
    // CONTINUE sets; it does not add.
    assert!(tell(&mut client, &packet(2, Packet::Continue(1))).is_empty());
    assert!(client.put_data(&mut out, b, [b"1", b""]) && !client.has_credit(b));
    assert_eq!(tell(&mut client, &packet(1, Packet::Continue(5))), ["Credit(StreamId(1))"]);
    assert!(client.has_credit(a) && !client.has_credit(b));
}

#[test]
fn datagrams_need_no_credit() {
    let mut client = ready_v1(0);
    let stream = client.open(Kind::Udp, "h", 53).unwrap();
    let mut out = Vec::new();
    assert!(client.put_data(&mut out, stream, [b"ab", b"cd"]));
    assert_eq!(out, packet(1, Packet::Data(b"abcd")));
}

#[test]
fn late_packets_of_a_closed_stream_are_ignored() {
    let mut client = ready_v1(2);
    let stream = client.open(Kind::Tcp, "h", 80).unwrap();
    client.close(stream, Reason::VOLUNTARY);
    for late in [Packet::Data(b"x"), Packet::Continue(9), Packet::Close(Reason::VOLUNTARY)] {
        assert!(tell(&mut client, &packet(1, late)).is_empty());
        assert!(tell(&mut client, &packet(77, late)).is_empty());
    }
    assert_eq!((client.malformed(), client.streams()), (0, 0));
    assert_eq!(controls(&mut client).len(), 2);
    client.close(stream, Reason::VOLUNTARY);
    assert!(controls(&mut client).is_empty() && !client.has_credit(stream));
}

#[test]
fn a_refusal_names_its_reason() {
    let mut client = ready_v1(2);
    client.open(Kind::Tcp, "h", 80).unwrap();
    let seen = tell(&mut client, &packet(1, Packet::Close(Reason::REFUSED)));
    assert_eq!(seen, ["Closed(StreamId(1), 0x44 (the target refused))"]);
}

#[test]
fn version_2_answers_info_with_what_both_know() {
    let mut client = Client::new(ClientConfig { stream_credit_bytes: Some(77), ..ClientConfig::default() });
    let mut rest = Vec::new();
    ServerInfo { version: (2, 3), udp: true, confirms: true, ..ServerInfo::default() }.put(&mut rest);
    assert!(tell(&mut client, &packet(0, Packet::Info(&rest))).is_empty());
    assert!(!client.is_ready());
    let answer = controls(&mut client);
    let info = ClientInfo::parse(&answer[0][HEADER_BYTES..], false).unwrap();
    assert_eq!(info, ClientInfo { version: (2, 0), udp: true, confirms: true, ..ClientInfo::default() });
    assert_eq!(tell(&mut client, &packet(0, Packet::Continue(4))), ["Ready"]);
    client.open(Kind::Tcp, "h", 80).unwrap();
    assert_eq!(tell(&mut client, &packet(1, Packet::Continue(4))), ["Opened(StreamId(1))"]);
    assert!(tell(&mut client, &packet(1, Packet::Continue(3))).is_empty());
}

#[test]
fn without_the_extension_no_udp_stream_is_opened_in_version_2() {
    let (mut client, _) =
        pair(Some(ServerInfo { version: (2, 0), ..ServerInfo::default() }), ClientConfig::default());
    assert!(client.open(Kind::Udp, "h", 53).is_none());
    assert!(client.open(Kind::Tcp, "h", 53).is_some());
}

#[test]
fn a_server_that_says_continue_before_info_is_answered_if_nothing_was_sent() {
    let mut rest = Vec::new();
    full_info().put(&mut rest);
    let mut client = ready_v1(128);
    tell(&mut client, &packet(0, Packet::Info(&rest)));
    assert!(client.is_ready() && client.confirms());
    assert_eq!(controls(&mut client).len(), 1);

    let mut client = ready_v1(128);
    client.open(Kind::Tcp, "h", 80).unwrap();
    controls(&mut client);
    tell(&mut client, &packet(0, Packet::Info(&rest)));
    assert!(client.is_ready() && client.server().is_none());
    assert!(controls(&mut client).is_empty());
}

#[test]
fn a_password_is_given_to_who_knows_passwords() {
    let password = Password::new("me", "secret").unwrap();
    let config = ClientConfig { password: Some(password.clone()), ..ClientConfig::default() };
    for offer in [None, Some(PasswordOffer { required: true, old_layout: false })] {
        let info = ServerInfo { password: offer, ..full_info() };
        let (_, server) = pair(Some(info), config.clone());
        let given = server.client().unwrap().password.clone();
        assert_eq!(given, offer.map(|_| (password.clone(), false)));
    }
}

#[test]
fn a_challenge_waits_for_its_signature() {
    let key = KeyChallenge { required: true, algorithms: 1, challenge: vec![5; 64], sha512: false };
    let mut rest = Vec::new();
    ServerInfo { key: Some(key.clone()), ..full_info() }.put(&mut rest);
    let mut client = Client::new(ClientConfig { has_key: true, ..ClientConfig::default() });
    assert_eq!(tell(&mut client, &packet(0, Packet::Info(&rest))), ["Challenge"]);
    assert_eq!(client.challenge(), Some(&key));
    assert!(controls(&mut client).is_empty());
    let answer = KeyAnswer { algorithm: 1, key_hash: vec![1; 32], signature: vec![2; 64] };
    client.sign(Some(answer.clone()));
    let info = ClientInfo::parse(&controls(&mut client)[0][HEADER_BYTES..], false).unwrap();
    assert_eq!(info.key, Some(answer));
    client.sign(None);
    assert!(controls(&mut client).is_empty());
}

#[test]
fn a_refused_connection_takes_nothing_more() {
    let mut client = ready_v1(2);
    client.open(Kind::Tcp, "h", 80).unwrap();
    let seen = tell(&mut client, &packet(0, Packet::Close(Reason::BAD_PASSWORD)));
    assert_eq!(seen, ["Refused(0xc0 (wrong name or password))"]);
    assert!(tell(&mut client, &packet(1, Packet::Data(b"x"))).is_empty());
    assert!(client.open(Kind::Tcp, "h", 80).is_none() && controls(&mut client).is_empty());
}

#[test]
fn nonsense_is_counted() {
    let mut client = ready_v1(2);
    client.open(Kind::Tcp, "h", 80).unwrap();
    let nonsense = [
        vec![],
        vec![2, 1],
        vec![99, 1, 0, 0, 0],
        packet(0, Packet::Data(b"x")),
        packet(1, Packet::Connect { kind: Kind::Tcp, port: 1, host: "h" }),
        packet(1, Packet::Info(&[2, 0])),
        packet(1, Packet::Fin),
        packet(0, Packet::Info(&[])),
    ];
    for message in &nonsense {
        assert!(tell(&mut client, message).is_empty(), "{message:?}");
    }
    assert_eq!(client.malformed(), nonsense.len() as u64);
}
