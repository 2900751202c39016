//! Fuzz targets: each is a function of bytes that must neither panic nor break what it asserts.

mod cuts;
pub mod frame;
pub mod host;
pub mod machine;
pub mod qemu;
pub mod replay;
pub mod tcp;
pub mod template;
pub mod websocket;
pub mod wisp;
