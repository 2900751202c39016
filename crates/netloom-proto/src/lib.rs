//! Sans-IO codecs of the transports that carry guests: WebSocket and Wisp.

pub mod websocket;
pub mod wisp;
