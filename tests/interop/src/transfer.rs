//! A TCP service that moves seeded bytes and their SHA-256, and its client.
//!
//! A request is one byte that names the [`Kind`], the length and the seed, both u64 big-endian. Each side makes the
//! bytes from the seed, so nothing large is held and a single wrong byte shows.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::namespace::Namespace;

const REQUEST_BYTES: usize = 17;
const DIGEST_BYTES: usize = 32;
const PATIENCE: Duration = Duration::from_secs(25);

/// What the client asks of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server sends the bytes, then its digest.
    Download,
    /// The client sends the bytes; the server answers with the digest of what came.
    Upload,
    /// The client sends the bytes and closes its half; only then the server sends as many, and closes.
    HalfClose,
}

/// A stream of bytes that a seed determines (SplitMix64).
#[derive(Debug)]
pub struct Pattern {
    state: u64,
}

impl Pattern {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next eight bytes as a number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next_u64() % limit as u64) as usize
    }

    /// Fills a buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_be_bytes()[..chunk.len()]);
        }
    }
}

/// A running transfer server; it stops listening when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    served: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves inside `namespace` on `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let listener = namespace.listen(address)?;
        let (served, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (listener, served, stop) = (listener.try_clone()?, served.clone(), stop.clone());
            move || accept_all(&listener, &served, &stop)
        });
        Ok(Self { address: listener.local_addr()?, served, stop, listener, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests served to their end.
    #[must_use]
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Shutting a listening socket down wakes its accept with an error.
        let woken = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
            && thread.join().is_err()
        {
            eprintln!("the transfer server panicked");
        }
    }
}

fn accept_all(listener: &TcpListener, served: &Arc<AtomicUsize>, stop: &AtomicBool) {
    while let Ok((stream, _)) = listener.accept() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let served = served.clone();
        thread::spawn(move || {
            if serve(stream).is_ok() {
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

fn serve(mut stream: TcpStream) -> Result<()> {
    set_patience(&stream)?;
    let mut request = [0; REQUEST_BYTES];
    stream.read_exact(&mut request)?;
    let number = |at: usize| request[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let (length, seed) = (number(1), number(9));
    match request[0] {
        0 => {
            let digest = send_pattern(&mut stream, length, seed)?;
            stream.write_all(&digest)?;
        }
        1 => {
            let digest = digest_of(&mut stream.try_clone()?.take(length))?;
            stream.write_all(&digest)?;
        }
        _ => {
            let digest = digest_of(&mut stream)?;
            stream.write_all(&digest)?;
            send_pattern(&mut stream, length, seed ^ 1)?;
            stream.shutdown(Shutdown::Write)?;
        }
    }
    Ok(())
}

/// Connects from inside `namespace` and moves `length` bytes.
///
/// # Errors
/// When the connection fails or breaks, or what arrived is not what was sent.
pub fn transfer(namespace: &Namespace, server: SocketAddr, kind: Kind, length: u64, seed: u64) -> Result<()> {
    let stream = namespace.connect(server, PATIENCE)?.with_context(|| format!("connect to {server}"))?;
    transfer_over(stream, kind, length, seed)
        .with_context(|| format!("{kind:?} of {length} bytes, seed {seed}"))
}

/// Moves `length` bytes over a connection to a [`Server`].
///
/// # Errors
/// When the connection breaks, or what arrived is not what was sent.
pub fn transfer_over(mut stream: TcpStream, kind: Kind, length: u64, seed: u64) -> Result<()> {
    set_patience(&stream)?;
    stream.write_all(&request(kind, length, seed)).context("request")?;
    if kind == Kind::Download {
        let came = digest_of(&mut stream.try_clone()?.take(length)).context("download")?;
        ensure!(came == read_digest(&mut stream)?, "the bytes that came differ from the server's");
        ensure!(came == digest_of_pattern(length, seed), "the server sent other bytes than asked");
        return Ok(());
    }
    let sent = send_pattern(&mut stream, length, seed).context("upload")?;
    if kind == Kind::HalfClose {
        stream.shutdown(Shutdown::Write)?;
    }
    ensure!(read_digest(&mut stream).context("digest")? == sent, "the server got other bytes than were sent");
    if kind == Kind::HalfClose {
        let came = digest_of(&mut stream).context("the server's half")?;
        ensure!(came == digest_of_pattern(length, seed ^ 1), "the server's half came wrong or cut short");
    }
    Ok(())
}

/// What a client sends first.
#[must_use]
pub fn request(kind: Kind, length: u64, seed: u64) -> Vec<u8> {
    [&[kind as u8][..], &length.to_be_bytes(), &seed.to_be_bytes()].concat()
}

fn set_patience(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

fn read_digest(stream: &mut TcpStream) -> io::Result<[u8; DIGEST_BYTES]> {
    let mut digest = [0; DIGEST_BYTES];
    stream.read_exact(&mut digest)?;
    Ok(digest)
}

fn send_pattern(stream: &mut TcpStream, length: u64, seed: u64) -> io::Result<[u8; DIGEST_BYTES]> {
    each_chunk(length, seed, |chunk| stream.write_all(chunk))
}

fn digest_of_pattern(length: u64, seed: u64) -> [u8; DIGEST_BYTES] {
    each_chunk(length, seed, |_| Ok(())).unwrap_or_default()
}

fn each_chunk(
    length: u64,
    seed: u64,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<[u8; DIGEST_BYTES]> {
    let (mut pattern, mut hash, mut buffer) = (Pattern::new(seed), Sha256::new(), [0; 64 * 1024]);
    let mut left = length;
    while left > 0 {
        let size = left.min(buffer.len() as u64) as usize;
        pattern.fill(&mut buffer[..size]);
        hash.update(&buffer[..size]);
        each(&buffer[..size])?;
        left -= size as u64;
    }
    Ok(hash.finalize().into())
}

fn digest_of(source: &mut impl Read) -> io::Result<[u8; DIGEST_BYTES]> {
    let mut hash = Sha256::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(size) => hash.update(&buffer[..size]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
