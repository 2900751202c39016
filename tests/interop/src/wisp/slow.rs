//! A target that takes bytes slowly and looks at each: what it gets has to be what was sent, at its place.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use rustix::net::sockopt::set_socket_recv_buffer_size;

/// With which it takes about 26 MB/s of a stream.
const READ_BYTES: usize = 16 * 1024;
const PAUSE: Duration = Duration::from_micros(600);
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

/// The byte at a place of every stream.
#[must_use]
pub const fn byte_at(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// A listener whose connections are read slowly, each by a thread; it ends when dropped.
#[derive(Debug)]
pub struct SlowSink {
    address: SocketAddr,
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    right: AtomicU64,
    wrong: AtomicU64,
}

impl SlowSink {
    /// Listens on the loopback.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER_BYTES)?;
        let counts = Arc::new(Counts::default());
        let (accepting, counting) = (listener.try_clone()?, Arc::clone(&counts));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let counts = Arc::clone(&counting);
                std::thread::spawn(move || take(stream, &counts));
            }
        });
        Ok(Self { address: listener.local_addr()?, listener, thread: Some(thread), counts })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that were right at their place, and those that were not.
    #[must_use]
    pub fn taken(&self) -> (u64, u64) {
        (self.counts.right.load(Ordering::Relaxed), self.counts.wrong.load(Ordering::Relaxed))
    }
}

impl Drop for SlowSink {
    fn drop(&mut self) {
        // Shutting a listening socket down wakes its accept with an error.
        let woken = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
            && thread.join().is_err()
        {
            eprintln!("the slow sink panicked");
        }
    }
}

fn take(mut stream: TcpStream, counts: &Counts) {
    let mut buffer = vec![0; READ_BYTES];
    let mut position = 0;
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let right = (position..).zip(&buffer[..length]).filter(|(at, byte)| byte_at(*at) == **byte).count();
        counts.right.fetch_add(right as u64, Ordering::Relaxed);
        counts.wrong.fetch_add((length - right) as u64, Ordering::Relaxed);
        position += length as u64;
        std::thread::sleep(PAUSE);
    }
}
