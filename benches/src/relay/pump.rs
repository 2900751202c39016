//! Bulk transfers by TCP that cost as little as they can: one buffer of zeros sent again and again, and read without a look.
//!
//! A request is one byte for the direction and the length as a big-endian u64. That bytes arrive unharmed is for the tests.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netloom_interop::namespace::Namespace;

use super::wire::PATIENCE;

const BUFFER_BYTES: usize = 256 * 1024;

/// Which way the bytes go, as the guest sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the server to the guest.
    Down,
    /// From the guest to the server.
    Up,
}

/// A server of transfers, one at a time; it ends when dropped.
#[derive(Debug)]
pub struct Pump {
    address: SocketAddr,
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Serves inside `namespace`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let listener = namespace.listen(address)?;
        let accepting = listener.try_clone()?;
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                if let Err(error) = serve(stream) {
                    eprintln!("a transfer broke off: {error}");
                }
            }
        });
        Ok(Self { address: listener.local_addr()?, listener, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        // Shutting a listening socket down wakes its accept with an error.
        let woken = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
            && thread.join().is_err()
        {
            eprintln!("the pump panicked");
        }
    }
}

/// Moves `length` bytes over a connection from inside `namespace`; the time from the request to the last byte's arrival.
///
/// # Errors
/// When the connection fails or breaks.
pub fn transfer(
    namespace: &Namespace,
    server: SocketAddr,
    direction: Direction,
    length: u64,
) -> Result<Duration> {
    let mut stream = namespace.connect(server, PATIENCE)?.with_context(|| format!("connect to {server}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = vec![u8::from(direction == Direction::Up)];
    request.extend_from_slice(&length.to_be_bytes());
    let begin = Instant::now();
    stream.write_all(&request)?;
    match direction {
        Direction::Down => drain(&mut stream, length)?,
        Direction::Up => {
            fill(&mut stream, length)?;
            stream.read_exact(&mut [0])?;
        }
    }
    Ok(begin.elapsed())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (mut up, mut length) = ([0], [0; 8]);
    stream.read_exact(&mut up)?;
    stream.read_exact(&mut length)?;
    let length = u64::from_be_bytes(length);
    if up == [0] {
        fill(&mut stream, length)
    } else {
        drain(&mut stream, length)?;
        stream.write_all(&[1])
    }
}

fn fill(stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
    let buffer = vec![0; BUFFER_BYTES];
    while left > 0 {
        let now = left.min(BUFFER_BYTES as u64);
        stream.write_all(&buffer[..now as usize])?;
        left -= now;
    }
    Ok(())
}

fn drain(stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => left = left.saturating_sub(read as u64),
        }
    }
    Ok(())
}
