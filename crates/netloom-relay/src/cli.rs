//! The command line of `netloom`: what may be written, and how a mistake in it is told in one line.
//!
//! Values stay text here; [`config`](crate::config) reads flags and file alike, so that both get the same checks and messages.

pub mod cors;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A network for virtual machines that run in a browser.
#[derive(Debug, Parser)]
#[command(name = "netloom", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve LANs to guests over WebSocket, with DHCP, DNS and a way out by this host's sockets.
    Relay(Box<RelayArgs>),
    /// Serve pages of container2wasm, by the command line of its c2w-net.
    #[command(disable_help_flag = true)]
    C2wNet(C2wNetArgs),
}

/// Flags of `netloom relay`. They win over the file. Those about a LAN are for the LAN `default`, and what the other LANs
/// have where the file says nothing else.
#[derive(Args, Clone, Debug, Default)]
pub struct RelayArgs {
    /// Address to listen on: ADDRESS:PORT, :PORT for every address of this host, or a port alone on 127.0.0.1. Port 0 takes a free
    /// one. Repeatable [default: 127.0.0.1:8086]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// Listen for QEMU itself, `-netdev stream`: on ADDRESS:PORT or a port alone over TCP, or on a unix socket. For the LAN `default`, or
    /// the one named before. Repeatable
    #[arg(long, value_name = "[LAN=]ADDRESS|unix:PATH")]
    pub qemu_listen: Vec<String>,
    /// Speak TLS (wss://) by this certificate, a PEM file with its chain. Needs --tls-key
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Origin of web pages that may connect, such as `https://example.com`; `*` admits all. Repeatable
    #[arg(long, value_name = "URL")]
    pub origin: Vec<String>,
    /// Host name under which the relay is reached, beside localhost and addresses. Repeatable
    #[arg(long, value_name = "NAME")]
    pub public_name: Vec<String>,
    /// What / and every path that names nothing else lead to: `lan`, or `wisp` or `cors` for clients that can only be given a host
    /// [default: lan]
    #[arg(long, value_name = "lan|wisp|cors")]
    pub root: Option<String>,
    /// No Wisp server at /wisp/
    #[arg(long)]
    pub no_wisp: bool,
    /// Who may use the Wisp server, by password; others may not. Repeatable
    #[arg(long, value_name = "NAME=PASSWORD")]
    pub wisp_user: Vec<String>,
    /// Public key (Ed25519, in base64) of who may use the Wisp server; others may not. Repeatable
    #[arg(long, value_name = "KEY")]
    pub wisp_key: Vec<String>,
    /// A further LAN, reached at /lan/NAME. Repeatable
    #[arg(long, value_name = "NAME[=SUBNET]")]
    pub lan: Vec<String>,
    /// The LAN's IPv4 network, of prefix 8 to 29 [default: 192.168.86.0/24]
    #[arg(long, value_name = "CIDR")]
    pub subnet: Option<String>,
    /// The LAN's IPv6: `off`, `ula` for a unique local prefix made of the LAN's name, or a prefix of 64 bits [default: off]
    #[arg(long, value_name = "off|ula|PREFIX/64")]
    pub ipv6: Option<String>,
    /// The LAN's MTU in bytes, 576 to 65535 [default: 1500]
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<i64>,
    /// What guests and streams may reach whatever the defaults say: a network, an address, a host name, `*.NAME` for those below it,
    /// `.NAME` for both, or `*`; then `:PORT` or `:PORT-PORT`, and `/tcp`, `/udp` or `/ping`. Repeatable
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<String>,
    /// What guests and streams may not reach, written as for --allow; wins over it. Repeatable
    #[arg(long, value_name = "RULE")]
    pub deny: Vec<String>,
    /// Nothing is reached but what --allow names
    #[arg(long)]
    pub allow_only: bool,
    /// Proxy that all TCP goes out by: socks5://, socks5h:// (the proxy resolves names) or http://, then `[USER:PASSWORD@]HOST:PORT`.
    /// UDP and ping are refused then
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Keep guests from each other: each reaches only the gateway
    #[arg(long)]
    pub isolate: bool,
    /// A LAN as other programs lay it out, with their addresses: `c2w`, `v86` or `websockproxy`. What is said beside it wins
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Lead a TCP port of this host to a guest: `8080=first:80`, `127.0.0.1:8080=192.168.86.100:80`, or a guest by MAC address or name.
    /// Repeatable
    #[arg(long, value_name = "LISTEN=GUEST:PORT")]
    pub forward: Vec<String>,
    /// No gateway: guests reach each other and the services, nothing outside
    #[arg(long)]
    pub no_gateway: bool,
    /// No DHCP server
    #[arg(long)]
    pub no_dhcp: bool,
    /// No DNS server
    #[arg(long)]
    pub no_dns: bool,
    /// Let guests reach this host's loopback at host.lan: the LAN's last address, and ::254 of its IPv6 prefix
    #[arg(long)]
    pub host_loopback: bool,
    /// DNS server to ask instead of those of /etc/resolv.conf. Repeatable
    #[arg(long, value_name = "IP[:PORT]")]
    pub dns: Vec<String>,
    /// A DNS name with fixed addresses. Repeatable
    #[arg(long, value_name = "NAME=IP[,IP]")]
    pub record: Vec<String>,
    /// A fixed DHCP lease of the default LAN. Repeatable
    #[arg(long, value_name = "MAC=IP")]
    pub lease: Vec<String>,
    /// The CORS proxy.
    #[command(flatten)]
    pub cors: cors::CorsArgs,
    /// Read the configuration from a TOML file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the configuration, print what is in effect as TOML, and end
    #[arg(long)]
    pub check: bool,
    /// What to log: error, warn, info, debug or trace, or a tracing filter [default: $RUST_LOG, else info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// What is behind `netloom c2w-net`, which [`c2w_net`](crate::c2w_net) reads by the rules of Go.
#[derive(Args, Clone, Debug, Default)]
pub struct C2wNetArgs {
    /// As c2w-net has them; `-help` shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// A mistake on the command line as one line: what clap says first, its tip, and where to look.
#[must_use]
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let mut said = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if let Some(rest) = said.strip_prefix("error: ") {
        said = rest.to_owned();
    }
    format!("netloom: {said} (see `netloom relay --help`)")
}
