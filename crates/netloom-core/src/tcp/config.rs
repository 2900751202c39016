//! What a connection is configured with.

use crate::time::Duration;

/// How a connection's sending rate answers to loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// The window grows by a cubic function of the time since the last loss (RFC 9438).
    #[default]
    Cubic,
    /// The window grows by one segment a round trip and is halved by a loss (RFC 5681).
    Reno,
    /// Only the peer's window limits: for private links, whose losses tell nothing of congestion.
    None,
}

/// What a connection is configured with. The default suits a guest's port of MTU 1500.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Largest payload that may be sent, in bytes: the MTU of the guest's port less the IP and TCP headers. The peer's MSS option
    /// lowers it, or to `default_mss` if the option is absent.
    pub max_payload: u16,
    /// The payload that every path carries: 536 bytes with IPv4, 1220 with IPv6 (RFC 9293 3.7.1).
    pub default_mss: u16,
    /// Largest payload that the peer is told to send, in bytes.
    pub advertised_mss: u16,
    /// Largest receive buffer, in bytes, up to 1 GiB. It starts at 64 KiB, or a few segments if they are
    /// large, and grows with the rate; beyond 256 KiB only where a round trip takes time.
    pub receive_buffer_bytes: usize,
    /// Largest send buffer, in bytes, up to 1 GiB. Beyond 256 KiB it grows with the congestion window, where a round trip takes time.
    pub send_buffer_bytes: usize,
    /// Whether small writes wait for the acknowledgment of earlier ones (RFC 9293 3.7.4).
    pub nagle: bool,
    /// Whether timestamps are offered, and used with peers that do (RFC 7323 3): 12 bytes of each segment.
    pub timestamps: bool,
    /// Silence after which the peer is asked whether it is still there; never if `None`.
    pub keepalive: Option<Duration>,
    /// Least retransmission timeout beyond the round trip itself. RFC 6298 2.4 would have one second, whose reason, delayed acknowledgments,
    /// is met by 200 ms.
    pub rto_min: Duration,
    /// How long data may stay unacknowledged, or a keepalive unanswered, before the connection is given up (R2 of RFC 9293 3.8.3).
    pub give_up_after: Duration,
    /// How long a connection of ours may wait for an answer to its SYN (R2 of RFC 9293 3.8.3: at least 3 minutes).
    pub open_for: Duration,
    /// How long a closed connection remembers its sequence numbers.
    pub time_wait: Duration,
    /// How the sending rate answers to loss.
    pub congestion: Congestion,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_payload: 1460,
            default_mss: 536,
            advertised_mss: 1460,
            receive_buffer_bytes: 256 * 1024,
            send_buffer_bytes: 256 * 1024,
            nagle: true,
            timestamps: true,
            keepalive: None,
            rto_min: Duration::from_millis(200),
            give_up_after: Duration::from_secs(120),
            open_for: Duration::from_secs(180),
            time_wait: Duration::from_secs(30),
            congestion: Congestion::Cubic,
        }
    }
}
