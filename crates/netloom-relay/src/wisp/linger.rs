//! The end of a TCP stream whose client is done: what it sent is delivered, and its end too.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::Client;
use super::tcp::Tcp;
use crate::socket;

/// How long a target may take nothing of what waits for it.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a target has to end its side.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// What was written so recently may not have arrived.
pub(super) const RECENT: Duration = Duration::from_secs(1);
/// Bytes read at once to be thrown away.
const DISCARD_BYTES: usize = 16 * 1024;

/// Delivers what waits, then the end. With `drain` the socket is read until the target has ended too: to close it over what is unread or
/// still arrives would reset the connection, and what was just written might be lost.
pub(super) async fn deliver(stream: &Tcp, client: &Client, socket: &TcpStream, drain: bool) {
    stream.flush(client);
    while stream.held_bytes() > 0 {
        let before = stream.held_bytes();
        match timeout(DELIVERY_TIMEOUT, stream.writable(socket)).await {
            Ok(Ok(())) => stream.flush(client),
            Ok(Err(_)) | Err(_) => return,
        }
        if stream.is_over() || stream.held_bytes() > before {
            return;
        }
    }
    if drain {
        drop(timeout(END_TIMEOUT, discard(socket)).await);
    }
}

async fn discard(socket: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; DISCARD_BYTES];
    loop {
        socket.readable().await?;
        match socket::read(socket, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
