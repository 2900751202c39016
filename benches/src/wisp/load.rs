//! Bulk transfers: streams of one or more clients, as fast as they go, one way.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::server::Server;
use crate::relay::place::Placement;
use netloom_interop::wisp::client::{Client, PATIENCE};
use netloom_interop::wisp::target::{Behaviour, Targets};

/// Which way the bytes go, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the target.
    Down,
    /// To the target, in DATA packets of so many bytes.
    Up(usize),
}

/// One load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Clients, each a WebSocket.
    pub clients: usize,
    /// Streams of each.
    pub streams: usize,
    /// The way.
    pub way: Way,
}

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Payload, 10⁶ bytes a second.
    pub mb_per_s: f64,
    /// The server's processor time for 10⁹ bytes of payload.
    pub cpu_s_per_gb: f64,
}

impl Rate {
    fn of(bytes: u64, elapsed: Duration, spent: Duration) -> Self {
        Self {
            mb_per_s: bytes as f64 / 1e6 / elapsed.as_secs_f64(),
            cpu_s_per_gb: spent.as_secs_f64() * 1e9 / bytes as f64,
        }
    }
}

/// Runs a load for `time`, after a tenth of that to get going. The server has one processor, client and targets have another.
///
/// # Errors
/// When a connection breaks, or nothing moves.
pub fn run(server: &Server, load: Load, time: Duration) -> Result<Rate> {
    let _placed = server.place(Placement::Apart)?;
    let targets = Targets::start()?;
    let behaviour = if load.way == Way::Down { Behaviour::Source } else { Behaviour::Sink };
    let mut clients = Vec::new();
    for _ in 0..load.clients {
        let mut client = Client::connect(server.address, server.path)?;
        for _ in 0..load.streams {
            client.open(targets.port(behaviour));
        }
        if let Way::Up(payload_bytes) = load.way {
            client.prepare_from(0, &vec![0x5a; payload_bytes]);
        }
        clients.push(client);
    }
    let bulk = load.way != Way::Down;
    let moved = |clients: &[Client]| match load.way {
        Way::Down => clients.iter().map(Client::received_bytes).sum(),
        Way::Up(_) => targets.taken_bytes(),
    };
    let streams = load.clients * load.streams;
    turn(&mut clients, bulk, time / 10, || targets.accepted() == streams)?;
    let (bytes_before, cpu_before, begin) = (moved(&clients), server.processor_time()?, Instant::now());
    loop {
        turn(&mut clients, bulk, time, || true)?;
        // On a busy machine a server may get no turn in so short a time.
        if moved(&clients) > bytes_before {
            break;
        }
        ensure!(begin.elapsed() < PATIENCE, "nothing moves");
    }
    let (bytes, elapsed) = (moved(&clients) - bytes_before, begin.elapsed());
    let spent = server.processor_time()?.saturating_sub(cpu_before);
    Ok(Rate::of(bytes, elapsed, spent))
}

/// A download through a proxy that knows no Wisp, and leads to a source: the least that the same bytes can cost.
///
/// # Errors
/// When the connection breaks.
pub fn download_through_proxy(proxy: &Server, time: Duration) -> Result<Rate> {
    let _placed = proxy.place(Placement::Apart)?;
    let mut stream = TcpStream::connect(proxy.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; 128 * 1024];
    let mut drain = |time: Duration| -> io::Result<u64> {
        let (begin, mut bytes) = (Instant::now(), 0);
        while begin.elapsed() < time {
            match stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => bytes += length as u64,
            }
        }
        Ok(bytes)
    };
    drain(time / 10)?;
    let (cpu_before, begin) = (proxy.processor_time()?, Instant::now());
    let bytes = drain(time)?;
    Ok(Rate::of(bytes, begin.elapsed(), proxy.processor_time()?.saturating_sub(cpu_before)))
}

/// Drives clients for at least `time`, until `done` holds too.
fn turn(clients: &mut [Client], bulk: bool, time: Duration, done: impl Fn() -> bool) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < time || !done() {
        if begin.elapsed() > time + PATIENCE {
            bail!("not all streams were opened");
        }
        let mut fds: Vec<PollFd<'_>> = clients
            .iter()
            .map(|client| {
                let mut flags = PollFlags::IN;
                flags.set(PollFlags::OUT, client.wants_write(bulk));
                PollFd::from_borrowed_fd(client.as_fd(), flags)
            })
            .collect();
        poll(&mut fds, Some(&Timespec::try_from(Duration::from_millis(100))?))?;
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        for (client, ready) in clients.iter_mut().zip(ready) {
            step(client, ready, bulk)?;
        }
    }
    Ok(())
}

fn step(client: &mut Client, ready: PollFlags, bulk: bool) -> io::Result<()> {
    if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
        client.read()?;
    }
    if ready.contains(PollFlags::OUT) {
        client.write(bulk)?;
    }
    Ok(())
}
