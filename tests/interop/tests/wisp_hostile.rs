//! What hostile or broken Wisp clients send, among it all that ended other servers: the relay goes on serving, within bounds.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use netloom_interop::client::Client;
use netloom_interop::transfer::Pattern;
use netloom_interop::websocket::{Handshake, Opcode, ask, encode};
use netloom_interop::wisp::stage::{PATH, Stage};
use netloom_interop::wisp::target::Behaviour;
use netloom_interop::wisp::wire::{self, CLOSE, CONNECT, CONTINUE, DATA};

const PATIENCE: Duration = Duration::from_secs(10);
const MIB: u64 = 1 << 20;
const INFO: u8 = 5;

fn packet(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &stream.to_le_bytes(), payload].concat()
}

/// The reason for which the relay ends a stream.
fn close_reason(client: &mut Client, stream: u32) -> u8 {
    let expected = packet(CLOSE, stream, &[]);
    client
        .expect(PATIENCE, |message| message.strip_prefix(&*expected).and_then(|rest| rest.first().copied()))
        .unwrap()
}

/// What is broken below Wisp ended wisp-js.
#[test]
fn broken_framing_ends_that_client_only() {
    let mut stage = Stage::new(&[]).unwrap();
    let unmasked = [0x82, 5, DATA, 1, 0, 0, 0];
    let reserved_bits = [0xf2, 0x80, 0, 0, 0, 0];
    let reserved_opcode = [0x83, 0x80, 0, 0, 0, 0];
    let stray_continuation = [0x80, 0x80, 0, 0, 0, 0];
    let long_ping = [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat();
    let cut_ping = [0x09, 0x80, 0, 0, 0, 0];
    let length_too_long = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let message_in_message = [0x02, 0x81, 0, 0, 0, 0, 1, 0x82, 0x81, 0, 0, 0, 0, 1];
    for bytes in [
        &unmasked[..],
        &reserved_bits,
        &reserved_opcode,
        &stray_continuation,
        &long_ping,
        &cut_ping,
        &length_too_long,
        &message_in_message,
    ] {
        let mut client = stage.join_raw().unwrap();
        client.send_raw(bytes).unwrap();
        let end = client.receive_to_the_end(PATIENCE);
        assert!(end.is_ok(), "{bytes:02x?} was not answered with an end: {end:?}");
        stage.serves().unwrap();
    }
}

/// What is shorter than a packet, first of all, ended epoxy.
#[test]
fn messages_that_are_no_packets_leave_the_relay_serving() {
    let mut stage = Stage::new(&[]).unwrap();
    for length in 0..5 {
        let mut client = stage.join_raw().unwrap();
        client.send(&vec![DATA; length]).unwrap();
        client.send(&vec![0xff; length]).unwrap();
        stage.serves().unwrap();
    }
    let mut client = stage.join_raw().unwrap();
    let mut bytes = Vec::new();
    encode(&mut bytes, false, Opcode::Binary, 1, &[]);
    encode(&mut bytes, true, Opcode::Continuation, 2, &[]);
    encode(&mut bytes, true, Opcode::Text, 3, b"text");
    client.send_raw(&bytes).unwrap();
    stage.serves().unwrap();
}

/// Some send a packet's header and its payload in two frames, and some cut them anywhere.
#[test]
fn packets_are_put_together_of_frames() {
    let stage = Stage::new(&[]).unwrap();
    let mut client = stage.join_raw().unwrap();
    let connect = packet(CONNECT, 1, &wire::connect(stage.targets.port(Behaviour::Echo), "127.0.0.1"));
    let data = packet(DATA, 1, b"in pieces");
    let mut bytes = Vec::new();
    for (message, at) in [(&connect, 5), (&data, 5), (&data, 0), (&data, data.len())] {
        encode(&mut bytes, false, Opcode::Binary, 7, &message[..at]);
        encode(&mut bytes, true, Opcode::Ping, 8, b"between");
        encode(&mut bytes, true, Opcode::Continuation, 9, &message[at..]);
    }
    for piece in bytes.chunks(3) {
        client.send_raw(piece).unwrap();
    }
    let mut echoed = Vec::new();
    while echoed.len() < 27 {
        let header = packet(DATA, 1, &[]);
        echoed.extend(
            client.expect(PATIENCE, |message| message.strip_prefix(&*header).map(<[u8]>::to_vec)).unwrap(),
        );
    }
    assert_eq!(echoed, b"in pieces".repeat(3));
}

/// CONNECTs that cannot be meant, and packets that make no sense.
#[test]
fn nonsense_costs_at_most_its_own_stream() {
    let mut stage = Stage::new(&[]).unwrap();
    let echo = stage.targets.port(Behaviour::Echo);
    let mut client = stage.join_raw().unwrap();
    let mut send = |kind, stream, payload: &[u8]| client.send(&packet(kind, stream, payload)).unwrap();
    send(CONNECT, 1, &[]);
    send(CONNECT, 2, &[1, 80]);
    send(CONNECT, 3, &[7, 80, 0, b'a']);
    send(CONNECT, 4, &[1, 80, 0]);
    send(CONNECT, 5, &[1, 80, 0, 0xff, 0xfe]);
    send(CONNECT, 6, &wire::connect(0, "127.0.0.1"));
    send(CONNECT, 7, &wire::connect(80, &"a.".repeat(20_000)));
    send(CONNECT, 8, &wire::connect(80, "a\0b"));
    send(CONNECT, 0, &wire::connect(80, "127.0.0.1"));
    send(DATA, 99, b"of no stream");
    send(DATA, 0, b"of the connection");
    send(CONTINUE, 99, &[1, 0, 0, 0]);
    send(CONTINUE, 0, &[]);
    send(CLOSE, 99, &[]);
    send(INFO, 0, &[2, 0]);
    send(0x77, 1, b"unknown");
    send(0xf0, 1, &[1, 0, 1, 0]);
    for stream in 3..=8 {
        let reason = close_reason(&mut client, stream);
        assert!(matches!(reason, 0x41 | 0x42), "stream {stream}: {reason:#x}");
    }
    // The connection is as good as new.
    client.send(&packet(CONNECT, 10, &wire::connect(echo, "127.0.0.1"))).unwrap();
    client.send(&packet(DATA, 10, b"all the same")).unwrap();
    let echoed = packet(DATA, 10, b"all the same");
    client.expect(PATIENCE, |message| (message == echoed).then_some(())).unwrap();
    stage.serves().unwrap();
}

#[test]
fn a_client_of_version_2_that_does_not_introduce_itself_is_sent_away() {
    let mut stage = Stage::new(&[]).unwrap();
    let mut stream = stage.namespace.connect(stage.relay.address(), PATIENCE).unwrap().unwrap();
    let handshake =
        Handshake { headers: vec!["Sec-WebSocket-Protocol: wisp-v2".to_owned()], ..Handshake::to(PATH) };
    let answer = ask(&mut stream, &handshake).unwrap();
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some("wisp-v2")));
    let mut bytes = Vec::new();
    encode(&mut bytes, true, Opcode::Binary, 1, &packet(CONNECT, 1, &wire::connect(80, "127.0.0.1")));
    stream.write_all(&bytes).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = answer.rest;
    stream.read_to_end(&mut rest).unwrap();
    let refusal = packet(CLOSE, 0, &[4]);
    assert!(rest.windows(refusal.len()).any(|bytes| bytes == refusal), "{rest:02x?}");
    stage.serves().unwrap();
}

#[test]
fn garbage_leaves_the_relay_serving() {
    let mut stage = Stage::new(&[]).unwrap();
    let sink = stage.targets.port(Behaviour::Sink);
    let mut pattern = Pattern::new(7);
    let mut client = stage.join_raw().unwrap();
    for round in 0..20_000_u32 {
        let stream = round % 40;
        let mut message = match round % 5 {
            0 => packet(CONNECT, stream, &wire::connect(sink, "127.0.0.1")),
            1 | 2 => packet(DATA, stream, &[0x5a; 100]),
            3 => packet(CLOSE, stream, &[2]),
            _ => packet(pattern.next_u64() as u8, stream, &[0; 12]),
        };
        if round % 3 == 0 {
            let at = pattern.below(message.len().min(9));
            message[at] = pattern.next_u64() as u8;
        }
        message.truncate(message.len() - pattern.below(6) * usize::from(round % 7 == 0));
        if client.send(&message).is_err() {
            client = stage.join_raw().unwrap();
        }
    }
    drop(client);
    stage.serves().unwrap();
    assert!(stage.relay.resident_bytes().unwrap() < 64 * MIB);
}

#[test]
fn a_message_without_end_is_not_held() {
    let mut stage = Stage::new(&[]).unwrap();
    stage.serves().unwrap();
    let before = stage.relay.resident_bytes().unwrap();
    // One frame of 2⁴⁰ bytes, and a message of frames without end.
    let head = [0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let piece = vec![0; MIB as usize];
    let mut fragment = Vec::new();
    encode(&mut fragment, false, Opcode::Continuation, 0, &vec![0; 60_000]);
    for (first, next) in [(&head[..], &piece), (&[0x02, 0x80, 0, 0, 0, 0], &fragment)] {
        let mut client = stage.join_raw().unwrap();
        client.send_raw(first).unwrap();
        let mut sent = 0;
        // Once it is closed, or all of this was taken and not kept.
        while sent < 64 * MIB && client.send_raw(next).is_ok() {
            sent += next.len() as u64;
        }
        stage.serves().unwrap();
        let grown = stage.grown_bytes(before).unwrap();
        assert!(grown < 16 * MIB, "{grown} bytes for one message without end");
    }
}

/// wisp-python stands still here, epoxy loses data, wisp-js takes it all into memory.
#[test]
fn who_heeds_no_credit_loses_the_stream_and_nobody_else() {
    let mut stage = Stage::new(&[]).unwrap();
    stage.serves().unwrap();
    let before = stage.relay.resident_bytes().unwrap();
    let mut client = stage.join_raw().unwrap();
    client
        .send(&packet(CONNECT, 1, &wire::connect(stage.targets.port(Behaviour::Stalled), "127.0.0.1")))
        .unwrap();
    client
        .send(&packet(CONNECT, 2, &wire::connect(stage.targets.port(Behaviour::Echo), "127.0.0.1")))
        .unwrap();
    let data = packet(DATA, 1, &vec![0x5a; 16 * 1024]);
    for _ in 0..4096 {
        client.send(&data).unwrap();
    }
    assert!(matches!(close_reason(&mut client, 1), 0x81 | 0x49 | 0x41 | 0x03));
    client.send(&packet(DATA, 2, b"beside")).unwrap();
    let echoed = packet(DATA, 2, b"beside");
    client.expect(PATIENCE, |message| (message == echoed).then_some(())).unwrap();
    let grown = stage.grown_bytes(before).unwrap();
    assert!(grown < 32 * MIB, "{grown} bytes for a stream without credit");
    stage.serves().unwrap();
}

#[test]
fn more_streams_than_a_client_may_have_are_refused_alone() {
    let mut stage = Stage::new(&[]).unwrap();
    stage.serves().unwrap();
    let (memory, files) = (stage.relay.resident_bytes().unwrap(), stage.relay.open_files().unwrap());
    let mut client = stage.join_raw().unwrap();
    let connect = wire::connect(stage.targets.port(Behaviour::Stalled), "127.0.0.1");
    for stream in 1..=20_000 {
        client.send(&packet(CONNECT, stream, &connect)).unwrap();
    }
    assert_eq!(close_reason(&mut client, 20_000), 0x49);
    stage.serves().unwrap();
    assert!(stage.relay.open_files().unwrap() < files + 5000);
    let grown = stage.grown_bytes(memory).unwrap();
    assert!(grown < 64 * MIB, "{grown} bytes for one client's streams");
    drop(client);
    stage.wait_for_open_files(files).unwrap();
}

#[test]
fn a_client_that_reads_nothing_stops_its_own_streams() {
    let mut stage = Stage::new(&[]).unwrap();
    stage.serves().unwrap();
    let before = stage.relay.resident_bytes().unwrap();
    let mut stalled = Client::connect_narrow(&stage.namespace, stage.relay.address(), PATH).unwrap();
    for stream in 1..=10 {
        let source = wire::connect(stage.targets.port(Behaviour::Source), "127.0.0.1");
        stalled.send(&packet(CONNECT, stream, &source)).unwrap();
    }
    // The time in which another client moves this much is enough to fill any buffer.
    let mut other = stage.join().unwrap();
    let source = other.open(stage.targets.port(Behaviour::Source));
    other.wait_until(|client| client.streams()[source].received > 256 * MIB).unwrap();
    let grown = stage.grown_bytes(before).unwrap();
    assert!(grown < 16 * MIB, "{grown} bytes for a client that reads nothing");
    drop((stalled, other));
    stage.serves().unwrap();
}

/// Sockets that say little and slowly, and heads that say too much.
#[test]
fn slow_and_long_heads_are_ended() {
    let mut stage = Stage::new(&[]).unwrap();
    stage.serves().unwrap();
    let (memory, files) = (stage.relay.resident_bytes().unwrap(), stage.relay.open_files().unwrap());
    let connect = || TcpStream::connect(stage.relay.address()).unwrap();
    let head = format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\n");
    let mut slow: Vec<TcpStream> = (0..500).map(|_| connect()).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        stream.write_all(&head.as_bytes()[..number % head.len()]).unwrap();
    }
    for many in [format!("X: {}\r\n", "a".repeat(64 * 1024)), "X: a\r\n".repeat(4096)] {
        let mut stream = connect();
        // The relay may have answered, and ended the connection, before all of it was sent.
        let sent = stream.write_all(format!("{head}{many}\r\n").as_bytes());
        let mut answer = [0; 64];
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = stream.read(&mut answer).unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(sent.is_err() || answer.is_empty() || answer.contains(" 431 "), "{answer}");
    }
    // One byte at a time keeps no socket open.
    let begin = Instant::now();
    let mut dripping = connect();
    dripping.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut drops = head.bytes().chain("X-Slow: ".bytes()).chain(std::iter::repeat(b'a'));
    loop {
        assert!(begin.elapsed() < Duration::from_secs(60), "a head may take as long as it likes");
        let byte = drops.next().unwrap();
        let ended = match (dripping.write(&[byte]), dripping.read(&mut [0; 64])) {
            (Err(_), _) => true,
            (_, Ok(length)) => length == 0,
            (_, Err(error)) => {
                !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
            }
        };
        if ended {
            break;
        }
    }
    stage.serves().unwrap();
    stage.wait_for_open_files(files).unwrap();
    let grown = stage.grown_bytes(memory).unwrap();
    assert!(grown < 16 * MIB, "{grown} bytes for heads that never ended");
}
