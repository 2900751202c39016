//! Sans-IO codecs of the transports that carry guests: WebSocket.

pub mod websocket;
