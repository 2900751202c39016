//! The least that a relay for two could do: two WebSockets, each message of one unmasked and sent to the other. No switch, no queues.
//!
//! One thread, many messages to a read and a write, the codec of `netloom-proto`. It is a process of its own, as the relay is, made by
//! running this program again.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Result;
use netloom_interop::namespace::Namespace;
use netloom_interop::process::Process;
use netloom_interop::splice::End as _;
use rustix::event::{PollFd, PollFlags, poll};

use super::socket::Socket;

/// The argument that makes a program with [`serve`] in it the splice.
pub const ARGUMENT: &str = "--serve-splice";
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
        let ends = [Socket::accept(&listener)?, Socket::accept(&listener)?];
        if let Err(error) = join(ends) {
            eprintln!("{error}");
        }
    }
}

fn join([mut a, mut b]: [Socket; 2]) -> Result<()> {
    loop {
        let interest = |own: &Socket, other: &Socket| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, other.backlog_bytes() == 0);
            flags.set(PollFlags::OUT, own.backlog_bytes() > 0);
            flags
        };
        let (interest_a, interest_b) = (interest(&a, &b), interest(&b, &a));
        let mut ends =
            [PollFd::from_borrowed_fd(a.fd(), interest_a), PollFd::from_borrowed_fd(b.fd(), interest_b)];
        poll(&mut ends, None)?;
        let [ready_a, ready_b] = [ends[0].revents(), ends[1].revents()];
        let wants = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        if ready_a.intersects(wants) && !pass(&mut a, &mut b)? {
            return Ok(b.leave()?);
        }
        if ready_b.intersects(wants) && !pass(&mut b, &mut a)? {
            return Ok(a.leave()?);
        }
        a.flush()?;
        b.flush()?;
    }
}

/// Reads once and hands the messages to the other end; false at the end of the stream.
fn pass(from: &mut Socket, to: &mut Socket) -> io::Result<bool> {
    match from.receive(|frame| to.send(frame)) {
        Ok(()) => to.flush().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
