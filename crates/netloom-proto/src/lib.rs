//! Sans-IO codecs of the transports that carry guests: WebSocket, QEMU's framing and Wisp.

pub mod qemu;
pub mod websocket;
pub mod wisp;
