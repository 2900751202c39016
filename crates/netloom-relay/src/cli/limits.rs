//! The flags of limits.

use clap::Args;

/// What clients, addresses and tokens may use of the relay.
#[derive(Args, Clone, Debug, Default)]
pub struct LimitArgs {
    /// A limit, as `address.connections=32` or `client.download_bytes_per_s=2M`: of each client, address or token its `connections`,
    /// `connections_per_s`, `flows`, `pending_dials`, `upload_bytes_per_s`, `download_bytes_per_s`; or `broadcast_frames_per_s`.
    /// 0 lifts it. Repeatable
    #[arg(long, value_name = "KEY=NUMBER")]
    pub limit: Vec<String>,
    /// A proxy in front of the relay, or a network of them, whose X-Forwarded-For or Forwarded says who connects. Repeatable
    #[arg(long, value_name = "IP|CIDR")]
    pub trusted_proxy: Vec<String>,
}
