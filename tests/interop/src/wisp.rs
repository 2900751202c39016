//! A Wisp server's surroundings, written apart from our own codec: a [`client`] that keeps to the specification of Wisp 1.2, and
//! [`target`]s that streams lead to. Neither does anything per byte, so that what is measured with them is the server.

pub mod client;
pub mod slow;
pub mod stage;
pub mod target;
pub mod upload;
pub mod wire;
