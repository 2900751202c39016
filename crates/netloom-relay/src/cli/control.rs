//! The flags of the control API, and the commands that ask a running relay.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Flags of `netloom relay` about the control API.
#[derive(Args, Clone, Debug, Default)]
pub struct ControlArgs {
    /// Socket by which `netloom status` and the like reach this relay: unix:PATH, or `off` [default: netloom.sock in $XDG_RUNTIME_DIR or
    /// /run]
    #[arg(long, value_name = "unix:PATH|off")]
    pub control: Option<String>,
    /// File of a secret that opens the control API on the listeners too, by `Authorization: Bearer`
    #[arg(long, value_name = "FILE")]
    pub control_token_file: Option<String>,
}

/// How a command reaches its relay.
#[derive(Args, Clone, Debug, Default)]
pub struct RelayAddress {
    /// The relay's control socket [default: where a relay of this user has it]
    #[arg(long, value_name = "unix:PATH", conflicts_with = "relay", global = true)]
    pub control: Option<String>,
    /// The relay's listener, such as `https://relay.example.com`; needs --token-file
    #[arg(long, value_name = "URL", requires = "token_file", global = true)]
    pub relay: Option<String>,
    /// File of the relay's control token
    #[arg(long, value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,
    /// Certificates in PEM of authorities that are trusted too, for https
    #[arg(long, value_name = "FILE", requires = "relay", global = true)]
    pub cacert: Option<PathBuf>,
    /// JSON in place of words
    #[arg(long, global = true)]
    pub json: bool,
}

/// What is asked of a running relay.
#[derive(Debug, Subcommand)]
pub enum ControlCommand {
    /// Show a running relay: its LANs and their clients.
    Status {
        /// How to reach it.
        #[command(flatten)]
        relay: RelayAddress,
        /// This LAN alone
        #[arg(long, value_name = "NAME")]
        lan: Option<String>,
        /// The flows too, with what each has moved, the busiest first
        #[arg(long)]
        flows: bool,
    },
    /// Show, add or remove ports of the host that lead to guests, while the relay runs.
    Forward {
        /// How to reach it.
        #[command(flatten)]
        relay: RelayAddress,
        /// What to do.
        #[command(subcommand)]
        action: ForwardAction,
    },
    /// Show the DHCP leases.
    Leases {
        /// How to reach it.
        #[command(flatten)]
        relay: RelayAddress,
        /// This LAN alone
        #[arg(long, value_name = "NAME")]
        lan: Option<String>,
    },
    /// Capture frames as pcapng, for `tshark` or `wireshark -k -i -`.
    Capture {
        /// How to reach it.
        #[command(flatten)]
        relay: RelayAddress,
        /// What to capture.
        #[command(flatten)]
        capture: CaptureArgs,
    },
    /// Have a client go: a number of `netloom status`, or a MAC address, an address or a name of its guest.
    Kick {
        /// How to reach it.
        #[command(flatten)]
        relay: RelayAddress,
        /// Who
        #[arg(value_name = "CLIENT")]
        client: String,
        /// On this LAN alone
        #[arg(long, value_name = "NAME")]
        lan: Option<String>,
    },
    /// Have the relay read its configuration again.
    Reload {
        /// How to reach it.
        #[command(flatten)]
        relay: RelayAddress,
    },
}

/// What to do about forwards.
#[derive(Debug, Subcommand)]
pub enum ForwardAction {
    /// Show all.
    List {
        /// Of this LAN alone
        #[arg(long, value_name = "NAME")]
        lan: Option<String>,
    },
    /// Add one, written as for `netloom relay --forward`.
    Add {
        /// The forward
        #[arg(value_name = "[udp:]LISTEN=[LAN/]GUEST:PORT")]
        forward: String,
    },
    /// Remove the one that listens there.
    Remove {
        /// Where it listens
        #[arg(value_name = "[udp:]LISTEN")]
        listen: String,
        /// Of this LAN alone
        #[arg(long, value_name = "NAME")]
        lan: Option<String>,
    },
}

/// What to capture, and how much of it.
#[derive(Args, Clone, Debug, Default)]
pub struct CaptureArgs {
    /// LAN to capture [default: the one of --client, else `default`]
    #[arg(long, value_name = "NAME")]
    pub lan: Option<String>,
    /// One client alone, with all that it sends and gets: a number of `netloom status`, or a MAC address, an address or a name of its guest
    #[arg(long, value_name = "CLIENT")]
    pub client: Option<String>,
    /// File to write, in place of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Bytes to keep of each frame [default: all]
    #[arg(long, value_name = "BYTES")]
    pub snap_bytes: Option<u64>,
    /// End before the file is larger
    #[arg(long, value_name = "BYTES")]
    pub max_bytes: Option<u64>,
    /// End after so many frames
    #[arg(short = 'c', long, value_name = "COUNT")]
    pub max_frames: Option<u64>,
    /// End after so long
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
    /// Frames to capture, as in pcap-filter(7): `tcp port 80 and host 192.168.86.100`
    #[arg(value_name = "FILTER", trailing_var_arg = true)]
    pub filter: Vec<String>,
}
