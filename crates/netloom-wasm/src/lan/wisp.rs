//! Wisp clients of the LAN: the page opens their WebSockets and carries their messages.

use core::net::SocketAddr;

use netloom_core::{Duration, Instant, Lan};
use netloom_page::{State, Wisp, WispConfig};
use netloom_proto::wisp::client::ClientConfig;
use netloom_proto::wisp::info::ED25519;
use netloom_proto::wisp::{KeyAnswer, Password};

use super::Machine;
use super::queries::query;
use crate::boundary::{Instance, address, pointer, with, with_machine_at};
use crate::streams::flow;

/// Length of a resolver in the arena: family, address, port.
const RESOLVER_BYTES: usize = 19;
/// Longest message that is put together from pieces.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// Stands for no password.
const NONE: u32 = u32::MAX;

exports! {
    /// Adds a Wisp client; its number. The arena holds the user's name and the password (none if its length is 2³² − 1), then resolvers: family,
    /// 16 bytes and the port, low first. `has_key`: the caller signs challenges.
    fn wisp_add(
        user_bytes: u32,
        password_bytes: u32,
        has_key: u32,
        resolvers: u32,
        credit_bytes: u32,
        backlog_bytes: u32,
        pause_bytes: u32,
        dial_timeout_us: f64,
        linger_us: f64,
    ) -> u32 {
        with(|instance| {
            let Instance { machine: Some(machine), arena, .. } = instance else { return NONE };
            let has_password = password_bytes != NONE;
            let password_bytes = if has_password { password_bytes as usize } else { 0 };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let Some((user, rest)) = arena.split_at_checked(user_bytes as usize) else { return NONE };
            let Some((password, rest)) = rest.split_at_checked(password_bytes) else { return NONE };
            let password = Password::new(&text(user), &text(password)).filter(|_| has_password);
            let resolvers = rest.chunks_exact(RESOLVER_BYTES).take(resolvers as usize).filter_map(resolver).collect();
            machine.egresses.add_wisp(WispConfig {
                client: ClientConfig { password, has_key: has_key > 0, stream_credit_bytes: Some(credit_bytes) },
                backlog_bytes: backlog_bytes as usize,
                pause_bytes: pause_bytes as usize,
                dial_timeout: Duration::from_micros(dial_timeout_us as u64),
                linger: Duration::from_micros(linger_us as u64),
                resolvers,
            })
        })
    }

    /// Removes a client: its connections are reset, and what waits is refused.
    fn wisp_remove(now_us: f64, number: u32) {
        with_machine_at(now_us, (), |machine, now| machine.egresses.remove(now, &mut machine.lan, number));
    }

    /// The page begins to open the client's WebSocket.
    fn wisp_dial(now_us: f64, number: u32) {
        with_wisp(now_us, number, (), |wisp, _, now| wisp.handle_dial(now));
    }

    /// The WebSocket is open.
    fn wisp_up(now_us: f64, number: u32) {
        with_wisp(now_us, number, (), |wisp, lan, now| wisp.handle_up(now, lan));
    }

    /// The WebSocket is gone.
    fn wisp_down(now_us: f64, number: u32) {
        with_wisp(now_us, number, (), |wisp, lan, now| wisp.handle_down(now, lan));
    }

    /// Takes the message of this length that begins the arena, or a piece of one: `more` if others follow. The status, as of `wisp_status`.
    fn wisp_message(now_us: f64, number: u32, length: u32, more: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let Instance { machine: Some(machine), arena, .. } = instance else { return 0 };
            let Machine { lan, egresses, pieces } = &mut **machine;
            let piece = arena.get(..length as usize).unwrap_or_default();
            let Some(wisp) = egresses.wisp(number) else { return 0 };
            if more > 0 || !pieces.is_empty() {
                if pieces.len() + piece.len() <= MAX_MESSAGE_BYTES {
                    pieces.extend_from_slice(piece);
                }
                if more == 0 {
                    wisp.handle_message(now, lan, &core::mem::take(pieces));
                }
            } else {
                wisp.handle_message(now, lan, piece);
            }
            status(wisp)
        })
    }

    /// How a client is: bits 0 to 7 its state (0 down, 1 greeting, 2 signing, 3 ready, 4 refused), 8 to 15 the reason of a refusal, 16 whether
    /// the page had better not read from the WebSocket for now.
    fn wisp_status(now_us: f64, number: u32) -> u32 {
        with_wisp(now_us, number, 0, |wisp, _, _| status(wisp))
    }

    /// Where the next message for the server is, or 0; word 0 is its length. Poll only while the WebSocket has room.
    fn wisp_poll(now_us: f64, number: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let Instance { machine: Some(machine), words, .. } = instance else { return 0 };
            let Machine { lan, egresses, .. } = &mut **machine;
            let Some(message) = egresses.wisp(number).and_then(|wisp| wisp.poll_message(now, lan)) else { return 0 };
            words[0] = message.len() as u32;
            pointer(message)
        })
    }

    /// Hands a flow to a client.
    fn wisp_relay(now_us: f64, number: u32, index: u32, generation: u32) {
        with_wisp(now_us, number, (), |wisp, lan, now| wisp.relay(now, lan, flow(index, generation)));
    }

    /// Has a client ask its resolvers a query that waits for its answer.
    fn wisp_query(now_us: f64, number: u32, low: u32, high: u32) {
        with_wisp(now_us, number, (), |wisp, lan, now| {
            let id = query(low, high);
            let Some(message) = lan.query(id).map(|(_, message)| message.to_vec()) else { return };
            wisp.query(now, lan, id, &message);
        });
    }

    /// What a server of version 2 told of itself: 1 and words major and minor version and flags (1 UDP, 2 confirms streams, 4 half-close, 8 stream
    /// credit), and the length of its message of the day, which begins the arena; or 0.
    fn wisp_server(number: u32) -> u32 {
        with(|instance| {
            let Instance { machine: Some(machine), words, arena, .. } = instance else { return 0 };
            let Some(server) = machine.egresses.wisp(number).and_then(|wisp| wisp.server()) else { return 0 };
            let has = [server.udp, server.confirms, server.half_close, server.stream_credit];
            let flags = has.iter().enumerate().map(|(bit, has)| u32::from(*has) << bit).sum();
            let motd = server.motd.as_deref().unwrap_or_default().as_bytes();
            arena[..motd.len()].copy_from_slice(motd);
            words[..4].copy_from_slice(&[
                server.version.0.into(),
                server.version.1.into(),
                flags,
                motd.len() as u32,
            ]);
            1
        })
    }

    /// The challenge that waits for `wisp_sign`: 1 and words pointer, length, algorithms (bit 0: Ed25519), and whether the public key is to be hashed by
    /// SHA-512 rather than SHA-256; or 0.
    fn wisp_challenge(number: u32) -> u32 {
        with(|instance| {
            let Instance { machine: Some(machine), words, .. } = instance else { return 0 };
            let Some(key) = machine.egresses.wisp(number).and_then(|wisp| wisp.challenge()) else { return 0 };
            words[..4].copy_from_slice(&[
                pointer(&key.challenge),
                key.challenge.len() as u32,
                key.algorithms.into(),
                key.sha512.into(),
            ]);
            1
        })
    }

    /// Answers the challenge by Ed25519: the arena holds the hash of the public key and the signature. Without bytes it cannot be signed.
    fn wisp_sign(number: u32, hash_bytes: u32, signature_bytes: u32) {
        with(|instance| {
            let Instance { machine: Some(machine), arena, .. } = instance else { return };
            let (hash, rest) = arena.split_at_checked(hash_bytes as usize).unwrap_or_default();
            let signature = rest.get(..signature_bytes as usize).unwrap_or_default();
            let answer = KeyAnswer { algorithm: ED25519, key_hash: hash.to_vec(), signature: signature.to_vec() };
            if let Some(wisp) = machine.egresses.wisp(number) {
                wisp.sign((signature_bytes > 0).then_some(answer));
            }
        });
    }
}

fn with_wisp<T>(
    now_us: f64,
    number: u32,
    otherwise: T,
    call: impl FnOnce(&mut Wisp, &mut Lan, Instant) -> T,
) -> T {
    with(|instance| {
        let now = instance.at(now_us);
        let Some(machine) = &mut instance.machine else { return otherwise };
        let Machine { lan, egresses, .. } = &mut **machine;
        match egresses.wisp(number) {
            Some(wisp) => call(wisp, lan, now),
            None => otherwise,
        }
    })
}

fn status(wisp: &Wisp) -> u32 {
    let (state, reason) = match wisp.state() {
        State::Down => (0, 0),
        State::Greeting => (1, 0),
        State::Signing => (2, 0),
        State::Ready => (3, 0),
        State::Refused(reason) => (4, reason.0),
    };
    state | u32::from(reason) << 8 | u32::from(wisp.wants_pause()) << 16
}

fn resolver(bytes: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_le_bytes([bytes[17], bytes[18]]);
    address(&bytes[1..17], bytes[0].into()).map(|address| SocketAddr::new(address, port))
}
