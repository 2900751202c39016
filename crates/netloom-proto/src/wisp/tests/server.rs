//! The server against a client, ours and others'.

use super::*;

#[test]
fn a_stream_opens_confirms_carries_and_ends() {
    let (mut client, mut server) =
        pair(Some(full_info()), ClientConfig { stream_credit_bytes: Some(10), ..ClientConfig::default() });
    let stream = client.open(Kind::Tcp, "example.org", 443).unwrap();
    let (_, at_server) = exchange(&mut client, &mut server);
    assert_eq!(at_server, [r#"Connect { stream: 1, kind: Tcp, host: "example.org", port: 443 }"#]);
    server.opened(1);
    assert_eq!(exchange(&mut client, &mut server).0, ["Opened(StreamId(1))"]);

    let mut out = Vec::new();
    assert!(client.put_data(&mut out, stream, [b"request", b""]));
    assert_eq!(tell_server(&mut server, &out), [format!("Data(1, {:?})", b"request")]);
    client.fin(stream);
    assert_eq!(exchange(&mut client, &mut server).1, ["Fin(1)"]);

    out.clear();
    assert_eq!(server.room(1), 10);
    assert!(!server.put_data(&mut out, 1, [&[7; 11], b""]) && server.put_data(&mut out, 1, [&[7; 10], b""]));
    assert!(!server.put_data(&mut out, 1, [b"x", b""]));
    assert_eq!(tell(&mut client, &out).len(), 1);
    client.extend(stream, 15);
    assert_eq!(exchange(&mut client, &mut server).1, ["Writable(1)"]);
    assert_eq!(server.room(1), 5);
    server.fin(1);
    assert_eq!(exchange(&mut client, &mut server).0, ["Fin(StreamId(1))"]);
    client.close(stream, Reason::VOLUNTARY);
    assert_eq!(exchange(&mut client, &mut server).1, ["Closed(1, 0x02 (closed))"]);
    assert_eq!((client.streams(), server.streams()), (0, 0));
}

#[test]
fn credit_returns_as_data_is_taken_and_is_never_more_than_promised() {
    let (mut client, mut server) = pair(None, ClientConfig::default());
    let stream = client.open(Kind::Tcp, "h", 80).unwrap();
    exchange(&mut client, &mut server);
    let mut sent = 0;
    for round in 0..100 {
        let mut out = Vec::new();
        while client.put_data(&mut out, stream, [b"x", b""]) {
            tell_server(&mut server, &out);
            out.clear();
            sent += 1;
        }
        assert!(server.queued(1) <= 2 * 8, "{}", server.queued(1));
        server.taken(1, 1 + round % 3);
        exchange(&mut client, &mut server);
    }
    assert!(sent > 100, "{sent}");
    // A target that takes nothing stops its stream.
    while client.has_credit(stream) {
        let mut out = Vec::new();
        client.put_data(&mut out, stream, [b"x", b""]);
        tell_server(&mut server, &out);
    }
    exchange(&mut client, &mut server);
    assert!(!client.has_credit(stream));
}

#[test]
fn what_cannot_be_opened_is_closed_with_its_reason() {
    let (_, mut server) = pair(Some(ServerInfo { udp: false, ..full_info() }), ClientConfig::default());
    let cases = [
        (packet(1, Packet::Connect { kind: Kind::Udp, port: 53, host: "h" }), Reason::BLOCKED),
        (packet(1, Packet::Connect { kind: Kind::Tcp, port: 0, host: "h" }), Reason::INVALID),
        (vec![1, 1, 0, 0, 0, 3, 80, 0, b'h'], Reason::INVALID),
        (vec![1, 1, 0, 0, 0, 1, 80, 0], Reason::INVALID),
    ];
    for (message, reason) in cases {
        assert!(tell_server(&mut server, &message).is_empty());
        assert_eq!(server_controls(&mut server), [packet(1, Packet::Close(reason))]);
    }
    for id in 1..=5 {
        tell_server(&mut server, &packet(id, Packet::Connect { kind: Kind::Tcp, port: 80, host: "h" }));
    }
    assert_eq!(server_controls(&mut server), [packet(5, Packet::Close(Reason::THROTTLED))]);
}

#[test]
fn a_name_that_is_taken_becomes_the_new_streams() {
    let (_, mut server) = pair(None, ClientConfig::default());
    let connect = packet(3, Packet::Connect { kind: Kind::Tcp, port: 80, host: "h" });
    tell_server(&mut server, &connect);
    tell_server(&mut server, &packet(3, Packet::Data(b"x")));
    let seen = tell_server(&mut server, &connect);
    assert_eq!(seen[0], "Closed(3, 0x81 (the client failed))");
    assert_eq!(seen[1], r#"Connect { stream: 3, kind: Tcp, host: "h", port: 80 }"#);
    assert_eq!((server.streams(), server.queued(3)), (1, 0));
    assert!(server_controls(&mut server).is_empty());
}

#[test]
fn a_client_of_version_2_introduces_itself_first() {
    let mut server = Server::new(server_config(Some(full_info())));
    let connect = packet(3, Packet::Connect { kind: Kind::Tcp, port: 80, host: "h" });
    assert_eq!(tell_server(&mut server, &connect), ["End"]);
    let closing = packet(0, Packet::Close(Reason::INCOMPATIBLE));
    assert_eq!(server_controls(&mut server).last(), Some(&closing));
    assert!(tell_server(&mut server, &connect).is_empty());
}

#[test]
fn a_refused_client_hears_why() {
    let (mut client, mut server) =
        (Client::new(ClientConfig::default()), Server::new(server_config(Some(full_info()))));
    for message in server_controls(&mut server) {
        tell(&mut client, &message);
    }
    for message in controls(&mut client) {
        tell_server(&mut server, &message);
    }
    server.refuse(Reason::AUTHENTICATION_REQUIRED);
    let told: Vec<_> =
        server_controls(&mut server).iter().flat_map(|message| tell(&mut client, message)).collect();
    assert_eq!(told, ["Refused(0xc2 (authentication is required))"]);
}
