//! Both ends against each other, against packets written by hand, and against nonsense.

mod client;
mod info;
mod packets;
mod server;

use super::*;
use crate::wisp::client::{ClientConfig, Event as ClientEvent};
use crate::wisp::server::{Event as ServerEvent, ServerConfig};

fn packet(stream: u32, packet: Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.put(&mut out, stream);
    out
}

fn full_info() -> ServerInfo {
    ServerInfo {
        version: (2, 0),
        udp: true,
        motd: Some("hello".to_owned()),
        confirms: true,
        half_close: true,
        stream_credit: true,
        ..ServerInfo::default()
    }
}

/// What a client is told by one message.
fn tell(client: &mut Client, message: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    client.handle_message(message, &mut |_: &mut Client, event: ClientEvent<'_>| {
        seen.push(format!("{event:?}"))
    });
    seen
}

/// The packets without data that a client has to send.
fn controls(client: &mut Client) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| {
        let mut out = Vec::new();
        client.poll_control(&mut out).then_some(out)
    })
    .collect()
}

fn tell_server(server: &mut Server, message: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    server.handle_message(message, &mut |_: &mut Server, event: ServerEvent<'_>| {
        seen.push(format!("{event:?}"))
    });
    seen
}

fn server_controls(server: &mut Server) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| {
        let mut out = Vec::new();
        server.poll_control(&mut out).then_some(out)
    })
    .collect()
}

const fn server_config(info: Option<ServerInfo>) -> ServerConfig {
    ServerConfig { info, credit_packets: 8, max_streams: 4 }
}

/// A client and a server that have greeted each other.
fn pair(info: Option<ServerInfo>, config: ClientConfig) -> (Client, Server) {
    let (mut client, mut server) = (Client::new(config), Server::new(server_config(info)));
    exchange(&mut client, &mut server);
    (client, server)
}

/// Carries packets without data both ways until there are none; what both ends saw.
fn exchange(client: &mut Client, server: &mut Server) -> (Vec<String>, Vec<String>) {
    let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
    loop {
        let (down, up) = (server_controls(server), controls(client));
        if down.is_empty() && up.is_empty() {
            return (at_client, at_server);
        }
        for message in up {
            at_server.extend(tell_server(server, &message));
            server.admit();
        }
        for message in down {
            at_client.extend(tell(client, &message));
        }
    }
}
