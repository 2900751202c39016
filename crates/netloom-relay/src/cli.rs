//! The command line of `netloom`: what may be written, and how a mistake in it is told in one line.
//!
//! Values stay text here; [`config`](crate::config) reads flags and file alike, so that both get the same checks and messages.

pub mod control;
pub mod cors;
pub mod limits;
pub mod setup;
pub mod token;

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
    /// Write a commented configuration, in which the flags given are filled in.
    Init(setup::InitArgs),
    /// Check a configuration, and say in words what it means: who may reach what.
    Check(setup::CheckArgs),
    /// Write what a shell completes `netloom` by to standard output.
    Completions(setup::CompletionsArgs),
    /// Make, list and revoke the tokens that a relay asks for with --tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Ask a running relay.
    #[command(flatten)]
    Control(control::ControlCommand),
}

/// Flags of `netloom relay`. They win over the file. Those about a LAN are for the LAN `default`, and what the other LANs
/// have where the file says nothing else.
#[derive(Args, Clone, Debug, Default)]
pub struct RelayArgs {
    /// Address to listen on: ADDRESS:PORT, :PORT for every address of this host, or a port alone on 127.0.0.1. Port 0 takes a free
    /// one. Repeatable [default: 127.0.0.1:8086]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// Address where no TLS is spoken, beside those that do. Repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub listen_plain: Vec<String>,
    /// Address where HTTP is redirected to the first --listen, which needs --tls-cert. Repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub listen_redirect: Vec<String>,
    /// Listen for QEMU itself, `-netdev stream`: on ADDRESS:PORT or a port alone over TCP, or on a unix socket. For the LAN `default`, or
    /// the one named before. Repeatable
    #[arg(long, value_name = "[LAN=]ADDRESS|unix:PATH")]
    pub qemu_listen: Vec<String>,
    /// Join a TAP interface to the LAN `default`, or the one named before: a new one, which goes with the relay, or one that is there.
    /// `bridge=NAME` makes it a port of a bridge, `netns=NAME|PID|PATH` puts it into a network namespace, `address=IP/PREFIX` gives it
    /// an address, `mac=MAC` its MAC address. Repeatable
    #[arg(long, value_name = "[LAN=]NAME[,KEY=VALUE]")]
    pub tap: Vec<String>,
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
    /// Serve only who shows a token of this file: as /t/TOKEN before the path, as `?token=`, or as `Authorization: Bearer`. `netloom token`
    /// makes it
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<String>,
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
    /// Lead a port of this host to a guest: `8080=first:80`, `127.0.0.1:8080=192.168.86.100:80`, `udp:5353=dns.lan:53`, or a guest by MAC
    /// address; `lab/first:80` for a guest of LAN lab; `,keep-source` at the end has the guest see who asks. Repeatable
    #[arg(long, value_name = "[udp:]LISTEN=GUEST:PORT")]
    pub forward: Vec<String>,
    /// Host name that leads to a guest's web server, guests being written as for --forward. Repeatable
    #[arg(long, value_name = "NAME=GUEST:PORT")]
    pub host: Vec<String>,
    /// Do not lead GUEST.localhost to the guest's web server, nor PORT.GUEST.localhost
    #[arg(long)]
    pub no_guest_hosts: bool,
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
    /// How long the port of a guest whose connection was lost is kept for it, with its lease and its connections, in seconds, 0 to 3600
    /// [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub resume_s: Option<i64>,
    /// Who may have it back that shows neither its cookie nor its token: nobody, who comes from the same address, or all
    /// [default: address]
    #[arg(long, value_name = "off|address|any")]
    pub resume_by_mac: Option<String>,
    /// How long clients may go on when the relay is told to stop, in seconds, 0 to 3600; new ones are refused meanwhile, and a second
    /// signal stops at once [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub drain_timeout: Option<i64>,
    /// DNS server to ask instead of those of /etc/resolv.conf. Repeatable
    #[arg(long, value_name = "IP[:PORT]")]
    pub dns: Vec<String>,
    /// A DNS name with fixed addresses. Repeatable
    #[arg(long, value_name = "NAME=IP[,IP]")]
    pub record: Vec<String>,
    /// A fixed DHCP lease of the default LAN. Repeatable
    #[arg(long, value_name = "MAC=IP")]
    pub lease: Vec<String>,
    /// The control API.
    #[command(flatten)]
    pub control: control::ControlArgs,
    /// The CORS proxy.
    #[command(flatten)]
    pub cors: cors::CorsArgs,
    /// Limits.
    #[command(flatten)]
    pub limits: limits::LimitArgs,
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
    // What was to be done, as far as it was understood.
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: ")).unwrap_or("netloom relay");
    let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    let command: Vec<_> = usage.split(' ').take_while(is_word).collect();
    format!("netloom: {said} (see `{} --help`)", command.join(" "))
}
