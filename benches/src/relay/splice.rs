//! The least that a relay for two could do: two WebSockets, each message of one unmasked and sent to the other. No switch, no queues.
//!
//! One thread, many messages to a read and a write, the codec of `netloom-proto`. It is a process of its own, as the relay is, made by
//! running this program again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use netloom_interop::namespace::Namespace;
use netloom_interop::process::Process;
use netloom_proto::websocket::{Decoder, Message, Opcode, Role, accept_key, put_frame};
use rustix::event::{PollFd, PollFlags, poll};

/// The argument that makes a program with [`serve`] in it the splice.
pub const ARGUMENT: &str = "--serve-splice";
const READ_BYTES: usize = 256 * 1024;
const MAX_FRAME_BYTES: usize = 65_549;
const LISTENING: &str = "listening on ";

/// A running splice, killed on drop.
#[derive(Debug)]
pub struct Splice {
    process: Process,
    address: SocketAddr,
}

impl Splice {
    /// Starts `program` as the splice inside `namespace`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(namespace: &Namespace, program: &std::path::Path) -> Result<Self> {
        let mut process = Process::start(namespace.command(program).arg(ARGUMENT))?;
        let address = process.wait_for_line(Duration::from_secs(10), |line| {
            line.strip_prefix(LISTENING).and_then(|address| address.parse().ok())
        })?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Is the splice: joins every two clients that come, one pair after the other.
///
/// # Errors
/// When the socket cannot be had.
pub fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{LISTENING}{}", listener.local_addr()?);
    loop {
        let ends = [upgrade(listener.accept()?.0)?, upgrade(listener.accept()?.0)?];
        if let Err(error) = join(ends) {
            eprintln!("{error}");
        }
    }
}

fn upgrade(mut stream: TcpStream) -> Result<TcpStream> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes)?;
        ensure!(read > 0, "the request was cut short");
        request.extend_from_slice(&bytes[..read]);
    }
    let request = String::from_utf8(request)?;
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = accept_key(key.context("no key")?);
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

struct End {
    stream: TcpStream,
    decoder: Decoder,
    /// What the other end has sent and this one's socket has not taken.
    out: Vec<u8>,
}

fn join(streams: [TcpStream; 2]) -> Result<()> {
    let decoder = || Decoder::new(Role::Server, MAX_FRAME_BYTES);
    let [mut a, mut b] = streams.map(|stream| End { stream, decoder: decoder(), out: Vec::new() });
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let interest = |own: &End, other: &End| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, other.out.is_empty());
            flags.set(PollFlags::OUT, !own.out.is_empty());
            flags
        };
        let (interest_a, interest_b) = (interest(&a, &b), interest(&b, &a));
        let mut ends = [
            PollFd::from_borrowed_fd(a.stream.as_fd(), interest_a),
            PollFd::from_borrowed_fd(b.stream.as_fd(), interest_b),
        ];
        poll(&mut ends, None)?;
        let [ready_a, ready_b] = [ends[0].revents(), ends[1].revents()];
        let wants = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        if ready_a.intersects(wants) && !a.pass(&mut b, &mut buffer)? {
            return b.leave();
        }
        if ready_b.intersects(wants) && !b.pass(&mut a, &mut buffer)? {
            return a.leave();
        }
        a.flush()?;
        b.flush()?;
    }
}

impl End {
    /// Reads once and hands the messages to the other end; false at the end of the stream.
    fn pass(&mut self, to: &mut Self, buffer: &mut [u8]) -> Result<bool> {
        let read = match self.stream.read(buffer) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        self.decoder.decode(&mut buffer[..read], |message| {
            if let Message::Binary(frame) = message {
                put_frame(&mut to.out, Opcode::Binary, frame, None);
            }
        })?;
        to.flush()?;
        Ok(true)
    }

    /// The other end has gone: waits until this one goes too, so that neither is cut off.
    fn leave(mut self) -> Result<()> {
        self.stream.set_nonblocking(false)?;
        io::copy(&mut self.stream, &mut io::sink())?;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.write(&self.out[written..]) {
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..written);
        Ok(())
    }
}
