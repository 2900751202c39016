//! Connecting to the first of several addresses that answers (RFC 8305, "Happy Eyeballs").

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long one address has before the next is tried beside it (RFC 8305 section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to one address.
pub(super) async fn to(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to the first of these addresses that answers; they are tried in their order, each a little after the one before, or at once
/// when that has failed. The error is that of the first that failed.
pub(super) async fn to_any(targets: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = targets {
        return to(*only).await;
    }
    let mut waiting = targets.iter();
    let mut attempts = JoinSet::new();
    let mut first_error = None;
    loop {
        if let Some(target) = waiting.next() {
            attempts.spawn(to(*target));
        }
        let more = !waiting.as_slice().is_empty();
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => first_error = first_error.or(Some(error)),
                Some(Err(error)) => first_error = first_error.or_else(|| Some(io::Error::other(error))),
                None if more => {}
                None => return Err(first_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
            },
            () = sleep(ATTEMPT_DELAY), if more => {}
        }
    }
}

/// The addresses with their families in turn, IPv6 first, otherwise in their order (RFC 8305 section 4).
pub(super) fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut merged = Vec::with_capacity(v6.len() + v4.len());
    loop {
        let (a, b) = (v6.next(), v4.next());
        if a.is_none() && b.is_none() {
            return merged;
        }
        merged.extend(a.into_iter().chain(b));
    }
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
