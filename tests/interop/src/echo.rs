//! A UDP service that sends every datagram back to where it came from (RFC 862).

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;

/// The longest payload that UDP has: over IPv6, whose own header does not count.
const MAX_DATAGRAM_BYTES: usize = 65_527;

/// A running echo service; it stops when dropped.
#[derive(Debug)]
pub struct UdpEcho {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl UdpEcho {
    /// Serves inside `namespace` on `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let socket = namespace.bind_udp(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (address, stop) = (socket.local_addr()?, Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let stop = stop.clone();
            move || serve(&socket, &stop)
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("the echo service panicked");
        }
    }
}

fn serve(socket: &UdpSocket, stop: &AtomicBool) {
    let mut datagram = vec![0; MAX_DATAGRAM_BYTES];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut datagram) else { continue };
        if let Err(error) = socket.send_to(&datagram[..length], peer) {
            eprintln!("no echo of {length} bytes to {peer}: {error}");
        }
    }
}
