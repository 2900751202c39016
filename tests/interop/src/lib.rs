//! Test instruments that put the Linux kernel, and hand-made clients, in front of a running `netloom`.
//!
//! A [`Lab`](lab::Lab) is a relay in a network namespace of its own beside a namespace with servers; a
//! [`Guest`](lab::Guest) is a third namespace whose only way out is a TAP that a [`Splice`](splice::Splice) joins to the
//! relay's WebSocket, with an impaired link between them where a test asks for one. The benchmarks use the same parts.
//!
//! Everything here needs root and Linux. What a test makes, it removes when it is dropped, also after a panic; what a
//! killed run left behind is removed by the next one.

pub mod cell;
pub mod client;
pub mod dhcp;
pub mod dns;
pub mod echo;
pub mod frame;
pub mod host;
pub mod iperf;
pub mod lab;
pub mod link;
pub mod namespace;
pub mod page;
pub mod path;
pub mod process;
pub mod program;
pub mod relay;
pub mod splice;
pub mod tap;
pub mod transfer;
pub mod uplink;
pub mod websocket;
pub mod wisp;
