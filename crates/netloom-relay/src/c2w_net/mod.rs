//! `netloom c2w-net`: the command line of container2wasm's c2w-net, and what it means for the relay.
//!
//! The LAN is the preset `c2w`. Other than c2w-net: `-p` listens at once and leads to the guest with the address .3 or, if there is none, to
//! the first on the LAN; pages of foreign origins are refused unless `-origin` admits them; and 192.168.127.254 is this host's loopback
//! only where the relay listens on loopback alone, or by `-host-loopback`.

mod flags;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

use netloom_core::MacAddr;

use crate::cli::RelayArgs;
use crate::config::{Config, ConfigError};
use crate::guest::Outgoing;
use flags::Flag;

/// How the command is written.
pub const USAGE: &str = "\
Usage: netloom c2w-net -listen-ws [-p [IP:]HOST:GUEST]... [-mac MAC] [-enable-tls ...] [-debug] ADDRESS:PORT
       netloom c2w-net [-p ...] [-mac MAC] [-debug] ADDRESS:PORT
       netloom c2w-net -invoke [-p ...] [-wasi-addr ADDRESS:PORT] [-debug] IMAGE.wasm [ARGUMENT]...

The network of container2wasm's c2w-net. Flags end at the first argument, and may be written with one dash or two.

  -listen-ws             wait for pages of container2wasm, by WebSocket; without it, connect to a container that waits
  -p [IP:]HOST:GUEST     lead a TCP port of this host, of all its addresses if none is given, to the container. Repeatable
  -mac MAC               card of the container that is to have the address 192.168.127.3 [default: 02:00:00:00:00:01]
  -invoke                run the container in wasmtime, and connect to it
  -wasi-addr ADDRESS     where the container in wasmtime waits [default: 127.0.0.1:1234]
  -wasmtime-cli-13       wasmtime is of version 13 or older
  -enable-tls            speak TLS (wss://) by the files of -ws-cert and -ws-key
  -ws-cert FILE          certificate, a PEM file with its chain
  -ws-key FILE           its private key, a PEM file
  -debug                 log all there is to say

And of netloom:
  -origin URL            origin of pages that may connect, beside those on this host; * admits all. Repeatable
  -public-name NAME      host name under which pages connect, beside localhost and addresses. Repeatable
  -host-loopback         the container reaches this host's loopback at 192.168.127.254 [default: if ADDRESS is loopback]
";

/// The flags of c2w-net, and ours.
const FLAGS: &[Flag] = &[
    Flag { name: "p", is_switch: false },
    Flag { name: "debug", is_switch: true },
    Flag { name: "listen-ws", is_switch: true },
    Flag { name: "enable-tls", is_switch: true },
    Flag { name: "ws-cert", is_switch: false },
    Flag { name: "ws-key", is_switch: false },
    Flag { name: "invoke", is_switch: true },
    Flag { name: "wasi-addr", is_switch: false },
    Flag { name: "wasmtime-cli-13", is_switch: true },
    Flag { name: "mac", is_switch: false },
    Flag { name: "origin", is_switch: false },
    Flag { name: "public-name", is_switch: false },
    Flag { name: "host-loopback", is_switch: true },
    Flag { name: "h", is_switch: true },
    Flag { name: "help", is_switch: true },
];
/// Where a container in wasmtime waits.
const WASI_ADDRESS: &str = "127.0.0.1:1234";
/// The address that `-mac` is for.
const CONTAINER: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 3);
const CONTAINER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// What the command line asks for.
#[derive(Debug)]
pub enum C2wNet {
    /// To be told how the command is written.
    Help,
    /// To serve.
    Serve {
        /// The relay.
        config: Box<Config>,
        /// The container that we connect to, rather than it to us.
        outgoing: Option<Outgoing>,
        /// What was written in vain.
        warning: Option<String>,
    },
}

/// What is wrong with the command line: one line with the fix.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A flag or an argument.
    #[error("{0} (see `netloom c2w-net -help`)")]
    Written(String),
    /// What the relay makes of it.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Reads the command line.
///
/// # Errors
/// The first mistake.
pub fn parse(arguments: &[String]) -> Result<C2wNet, UsageError> {
    let parsed = flags::parse(FLAGS, arguments).map_err(UsageError::Written)?;
    if parsed.switch("h").or_else(|| parsed.switch("help")) == Some(true) {
        return Ok(C2wNet::Help);
    }
    let Some((first, more)) = parsed.arguments.split_first() else {
        return Err(UsageError::Written(
            "no address; write where to listen, as netloom c2w-net -listen-ws localhost:8888".to_owned(),
        ));
    };
    let listens = parsed.switch("listen-ws") == Some(true);
    let invokes = parsed.switch("invoke") == Some(true);
    let forwards: Result<Vec<_>, _> = parsed.all("p").map(forward).collect();
    let mac = parsed.last("mac").map_or(Ok(CONTAINER_MAC), mac).map_err(UsageError::Written)?;
    let mut args = RelayArgs {
        preset: Some("c2w".to_owned()),
        lease: vec![format!("{mac}={CONTAINER}")],
        forward: forwards.map_err(UsageError::Written)?,
        origin: parsed.all("origin").map(str::to_owned).collect(),
        public_name: parsed.all("public-name").map(str::to_owned).collect(),
        log: Some(if parsed.switch("debug") == Some(true) { "debug" } else { "warn" }.to_owned()),
        ..RelayArgs::default()
    };
    let mut is_loopback = true;
    let outgoing = if invokes {
        let address = parsed.last("wasi-addr").unwrap_or(WASI_ADDRESS);
        // What a file of a container is told stays as it is.
        Some(Outgoing::invoke(address, parsed.switch("wasmtime-cli-13") == Some(true), &parsed.arguments))
    } else if listens {
        let address = listen(first).map_err(UsageError::Written)?;
        is_loopback = address.ip().is_loopback();
        args.listen = vec![address.to_string()];
        if parsed.switch("enable-tls") == Some(true) {
            let file = |name| {
                let wrong = || UsageError::Written(format!("-enable-tls needs files; add -{name} FILE"));
                parsed.last(name).map(str::to_owned).ok_or_else(wrong)
            };
            args.tls_cert = Some(file("ws-cert")?);
            args.tls_key = Some(file("ws-key")?);
        }
        None
    } else {
        Some(Outgoing::connect(first))
    };
    args.host_loopback = parsed.switch("host-loopback").unwrap_or(is_loopback);
    let mut config = Config::load(&args)?;
    // A network of containers, and nothing else.
    config.wisp = None;
    if outgoing.is_some() {
        config.listen.clear();
    }
    let warning = (!invokes).then(|| vain(more)).flatten();
    Ok(C2wNet::Serve { config: Box::new(config), outgoing, warning })
}

/// What stands behind the address, where c2w-net reads nothing any more.
fn vain(more: &[String]) -> Option<String> {
    let first = more.first()?;
    Some(format!("`{}` is not read: flags end at the address; write {first} before it", more.join(" ")))
}

fn mac(text: &str) -> Result<MacAddr, String> {
    text.parse::<MacAddr>()
        .ok()
        .filter(|mac| mac.is_unicast())
        .ok_or_else(|| format!("-mac: `{text}` is no MAC address of one card; write it as 02:00:00:00:00:01"))
}

/// `[IP:]HOST:GUEST` as a forward of ours.
fn forward(text: &str) -> Result<String, String> {
    let wrong =
        || format!("-p: `{text}` leads nowhere; write [IP:]HOST:GUEST, as 8080:80 or 127.0.0.1:8080:80");
    let parts: Vec<&str> = text.split(':').collect();
    let (ip, host, guest) = match parts.as_slice() {
        [host, guest] => ("0.0.0.0", host, guest),
        [ip, host, guest] => (*ip, host, guest),
        _ => return Err(wrong()),
    };
    let ip = match ip {
        "localhost" => Ipv4Addr::LOCALHOST,
        ip => ip.parse().map_err(|_| wrong())?,
    };
    let host: u16 = host.parse().map_err(|_| wrong())?;
    let guest: u16 = guest.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    Ok(format!("{ip}:{host}=first:{guest}"))
}

/// Where to listen, by address or by a name of this host.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("`{text}` is not an address to listen on; write it as localhost:8888 or :8888");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    match host {
        "" => return Ok((Ipv4Addr::UNSPECIFIED, port).into()),
        "localhost" => return Ok((Ipv4Addr::LOCALHOST, port).into()),
        _ => {}
    }
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(|_| wrong())?.collect();
    // As Go: of a name's addresses the first of IPv4.
    let v4 = found.iter().find(|address| matches!(address.ip(), IpAddr::V4(_)));
    v4.or_else(|| found.first()).copied().ok_or_else(wrong)
}
