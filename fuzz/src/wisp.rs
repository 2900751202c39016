//! Target `wisp`: the codec and both ends.
//!
//! The first byte says what the rest is: messages for a client, messages for a server, or steps of a client and a server that talk to each
//! other. Whatever arrives, a packet that is read is written again as it was, no stream sends without credit, and nothing is heard of a
//! stream that is closed. Two ends that talk lose nothing, and neither holds the other to be malformed.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use netloom_proto::wisp::client::{Client, ClientConfig, Event as ClientEvent, StreamId};
use netloom_proto::wisp::info::PasswordOffer;
use netloom_proto::wisp::server::{Event as ServerEvent, Server, ServerConfig};
use netloom_proto::wisp::{ClientInfo, Kind, Packet, Password, Reason, ServerInfo};

const CREDIT_PACKETS: u32 = 8;
const STREAM_CREDIT_BYTES: u32 = 64;
const MAX_STREAMS: usize = 6;

/// Runs the target.
///
/// # Panics
/// If an end breaks what is asserted.
pub fn run(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    match how % 3 {
        0 => client(rest),
        1 => server(rest, how & 4 != 0),
        _ => both(rest, how & 4 != 0, how & 8 != 0),
    }
}

/// Messages of any content, each behind its length.
fn messages(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (length, rest) = data.split_first()?;
        let (message, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        data = rest;
        Some(message)
    })
}

/// What is read is written as it was, but for what nobody reads.
fn check_packet(message: &[u8]) {
    let Ok((stream, packet)) = Packet::parse(message) else { return };
    let mut out = Vec::new();
    packet.put(&mut out, stream);
    assert_eq!(Packet::parse(&out), Ok((stream, packet)));
    assert!(out.len() <= message.len() || out.ends_with(&[Reason::UNKNOWN.0]));
    if let Packet::Info(info) = packet {
        if let Some(server) = ServerInfo::parse(info) {
            let mut out = Vec::new();
            server.put(&mut out);
            let Some(again) = ServerInfo::parse(&out) else { panic!("our own INFO is not understood") };
            assert_eq!(
                (again.udp, again.confirms, again.half_close),
                (server.udp, server.confirms, server.half_close)
            );
        }
        for old_layout in [false, true] {
            if let Some(client) = ClientInfo::parse(info, old_layout) {
                let mut out = Vec::new();
                client.put(&mut out);
                assert_eq!(ClientInfo::parse(&out, old_layout), Some(client));
            }
        }
    }
}

fn client(data: &[u8]) {
    let config = ClientConfig {
        password: Password::new("user", "password"),
        has_key: true,
        stream_credit_bytes: Some(STREAM_CREDIT_BYTES),
    };
    let mut client = Client::new(config);
    let mut open: Vec<StreamId> = Vec::new();
    for message in messages(data) {
        check_packet(message);
        client.handle_message(message, &mut |client, event| match event {
            ClientEvent::Ready => assert!(client.is_ready()),
            ClientEvent::Challenge => assert!(client.challenge().is_some()),
            ClientEvent::Refused(_) => open.clear(),
            ClientEvent::Closed(stream, _) => {
                assert!(open.contains(&stream), "a stream that is not open was closed");
                open.retain(|other| *other != stream);
            }
            ClientEvent::Opened(stream)
            | ClientEvent::Credit(stream)
            | ClientEvent::Data(stream, _)
            | ClientEvent::Fin(stream) => {
                assert!(open.contains(&stream), "heard of a stream that is not open")
            }
        });
        if client.challenge().is_some() {
            client.sign(None);
        }
        if open.len() < 4 {
            let kind = if message.len() % 2 == 0 { Kind::Tcp } else { Kind::Udp };
            open.extend(client.open(kind, "host", 80));
        }
        let mut out = Vec::new();
        for stream in &open {
            let had_credit = client.has_credit(*stream);
            assert_eq!(client.put_data(&mut out, *stream, [b"a", b"b"]), had_credit);
        }
        while client.poll_control(&mut out) {}
        assert_eq!(client.streams(), open.len());
    }
}

fn server(data: &[u8], version_2: bool) {
    let mut server = Server::new(config(version_2));
    let mut open: BTreeMap<u32, u32> = BTreeMap::new();
    for message in messages(data) {
        check_packet(message);
        server.handle_message(message, &mut |server, event| match event {
            ServerEvent::Hello(_) => server.admit(),
            ServerEvent::Connect { stream, port, .. } => {
                assert!(port != 0 && open.insert(stream, 0).is_none());
                server.opened(stream);
            }
            ServerEvent::Data(stream, _) => *open.entry(stream).or_default() += 1,
            ServerEvent::Fin(stream) | ServerEvent::Writable(stream) => assert!(open.contains_key(&stream)),
            ServerEvent::Closed(stream, _) => assert!(open.remove(&stream).is_some()),
            ServerEvent::End => open.clear(),
        });
        let mut out = Vec::new();
        for (stream, queued) in &mut open {
            assert_eq!(server.queued(*stream), *queued);
            if *queued > 2 {
                server.taken(*stream, *queued);
                *queued = 0;
            }
            let fits = server.room(*stream) >= 2;
            assert_eq!(server.put_data(&mut out, *stream, [b"a", b"b"]), fits);
        }
        while server.poll_control(&mut out) {}
        assert!(server.streams() == open.len() && open.len() <= MAX_STREAMS);
    }
}

fn config(version_2: bool) -> ServerConfig {
    let info = version_2.then(|| ServerInfo {
        version: (2, 0),
        udp: true,
        password: Some(PasswordOffer { required: true, old_layout: false }),
        confirms: true,
        half_close: true,
        stream_credit: true,
        ..ServerInfo::default()
    });
    ServerConfig { info, credit_packets: CREDIT_PACKETS, max_streams: MAX_STREAMS }
}

/// A step of two ends that talk.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Open { udp: bool },
    Send { stream: u8, bytes: u8 },
    Fin { stream: u8 },
    Close { stream: u8 },
    Extend { stream: u8 },
    Take { stream: u8 },
    Answer { stream: u8, bytes: u8 },
    Confirm { stream: u8 },
    Refuse { stream: u8 },
    Exchange,
}

/// What has arrived.
#[derive(Default)]
struct Talk {
    kinds: BTreeMap<u32, Kind>,
    /// Bytes of each stream, at the server and at the client.
    up: BTreeMap<u32, u64>,
    down: BTreeMap<StreamId, u64>,
}

fn both(data: &[u8], version_2: bool, bounded: bool) {
    let stream_credit_bytes = bounded.then_some(STREAM_CREDIT_BYTES);
    let mut client = Client::new(ClientConfig { stream_credit_bytes, ..ClientConfig::default() });
    let mut server = Server::new(config(version_2));
    let mut talk = Talk::default();
    let mut at_client: Vec<StreamId> = Vec::new();
    let mut at_server: Vec<u32> = Vec::new();
    let mut finished: Vec<StreamId> = Vec::new();
    let (mut sent, mut answered) = (0, 0);
    exchange(&mut client, &mut server, &mut talk, &mut at_client, &mut at_server);
    let mut input = Unstructured::new(data);
    while !input.is_empty() {
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        let ours = |stream: u8| at_client.get(usize::from(stream) % at_client.len().max(1)).copied();
        let theirs = |stream: u8| at_server.get(usize::from(stream) % at_server.len().max(1)).copied();
        let mut out = Vec::new();
        match step {
            Step::Open { udp } => {
                at_client.extend(client.open(if udp { Kind::Udp } else { Kind::Tcp }, "host", 80))
            }
            Step::Send { stream, bytes } => {
                while client.poll_control(&mut out) {
                    deliver_up(&mut server, &mut talk, &mut at_server, &out);
                    out.clear();
                }
                if let Some(stream) = ours(stream).filter(|stream| !finished.contains(stream))
                    && client.put_data(&mut out, stream, [&vec![7; bytes.into()], &[]])
                {
                    // What finds its stream closed by the server is late.
                    if at_server.iter().any(|open| out[1..5] == open.to_le_bytes()) {
                        sent += u64::from(bytes);
                    }
                    deliver_up(&mut server, &mut talk, &mut at_server, &out);
                }
            }
            Step::Fin { stream } => {
                if let Some(stream) = ours(stream).filter(|_| client.has_half_close()) {
                    client.fin(stream);
                    finished.push(stream);
                }
            }
            Step::Close { stream } => {
                if let Some(stream) = ours(stream) {
                    client.close(stream, Reason::VOLUNTARY);
                    at_client.retain(|other| *other != stream);
                }
            }
            Step::Extend { stream } => {
                if let Some(stream) = ours(stream) {
                    let received = talk.down.get(&stream).copied().unwrap_or_default();
                    client.extend(stream, (received as u32).wrapping_add(STREAM_CREDIT_BYTES));
                }
            }
            Step::Take { stream } => {
                if let Some(stream) = theirs(stream) {
                    server.taken(stream, server.queued(stream));
                }
            }
            Step::Answer { stream, bytes } => {
                while server.poll_control(&mut out) {
                    deliver_down(&mut client, &mut talk, &mut at_client, &out);
                    out.clear();
                }
                if let Some(stream) = theirs(stream)
                    && server.put_data(&mut out, stream, [&vec![9; bytes.into()], &[]])
                {
                    let before = client.streams();
                    answered += u64::from(bytes);
                    deliver_down(&mut client, &mut talk, &mut at_client, &out);
                    assert_eq!(client.streams(), before);
                }
            }
            Step::Confirm { stream } => {
                if let Some(stream) = theirs(stream) {
                    server.opened(stream);
                }
            }
            Step::Refuse { stream } => {
                if let Some(stream) = theirs(stream) {
                    server.close(stream, Reason::REFUSED);
                    at_server.retain(|other| *other != stream);
                }
            }
            Step::Exchange => exchange(&mut client, &mut server, &mut talk, &mut at_client, &mut at_server),
        }
        for stream in &at_server {
            assert!(
                server.queued(*stream) <= 2 * CREDIT_PACKETS || talk.kinds[stream] == Kind::Udp,
                "more than the credit twice"
            );
        }
    }
    exchange(&mut client, &mut server, &mut talk, &mut at_client, &mut at_server);
    assert_eq!(talk.up.values().sum::<u64>(), sent, "not all that was sent arrived");
    assert!(talk.down.values().sum::<u64>() <= answered, "more arrived than was answered");
    assert_eq!(
        (client.malformed(), server.malformed()),
        (0, 0),
        "one end's packets make no sense to the other"
    );
    assert_eq!((client.streams(), server.streams()), (at_client.len(), at_server.len()));
    assert_eq!(client.streams(), server.streams(), "a stream is open at one end alone");
}

fn deliver_up(server: &mut Server, talk: &mut Talk, at_server: &mut Vec<u32>, message: &[u8]) {
    check_packet(message);
    server.handle_message(message, &mut |server, event| match event {
        ServerEvent::Hello(_) => server.admit(),
        ServerEvent::Connect { stream, kind, host, port } => {
            assert_eq!((host, port), ("host", 80));
            talk.kinds.insert(stream, kind);
            at_server.push(stream);
        }
        ServerEvent::Data(stream, bytes) => {
            assert!(bytes.iter().all(|byte| *byte == 7));
            *talk.up.entry(stream).or_default() += bytes.len() as u64;
        }
        ServerEvent::Closed(stream, _) => at_server.retain(|other| *other != stream),
        ServerEvent::Fin(_) | ServerEvent::Writable(_) => {}
        ServerEvent::End => panic!("the server ended a connection that is well-formed"),
    });
}

fn deliver_down(client: &mut Client, talk: &mut Talk, at_client: &mut Vec<StreamId>, message: &[u8]) {
    check_packet(message);
    client.handle_message(message, &mut |_, event| match event {
        ClientEvent::Data(stream, bytes) => {
            assert!(bytes.iter().all(|byte| *byte == 9));
            *talk.down.entry(stream).or_default() += bytes.len() as u64;
        }
        ClientEvent::Closed(stream, _) => at_client.retain(|other| *other != stream),
        ClientEvent::Refused(reason) => panic!("refused: {reason:?}"),
        _ => {}
    });
}

fn exchange(
    client: &mut Client,
    server: &mut Server,
    talk: &mut Talk,
    at_client: &mut Vec<StreamId>,
    at_server: &mut Vec<u32>,
) {
    loop {
        let mut message = Vec::new();
        if server.poll_control(&mut message) {
            deliver_down(client, talk, at_client, &message);
        } else if client.poll_control(&mut message) {
            deliver_up(server, talk, at_server, &message);
        } else {
            return;
        }
    }
}
