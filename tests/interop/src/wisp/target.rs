//! What streams lead to: one thread with a listener for each way of behaving, that touches no byte it need not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::Result;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{RecvFlags, recv};

const BUFFER_BYTES: usize = 256 * 1024;
const BACKLOG: i32 = 4096;
const STOP: u64 = u64::MAX;

/// How a target behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Sends without end.
    Source,
    /// Takes and counts.
    Sink,
    /// Sends back what it takes.
    Echo,
    /// Takes nothing.
    Stalled,
}

/// Every behaviour.
const ALL: [Behaviour; 4] = [Behaviour::Source, Behaviour::Sink, Behaviour::Echo, Behaviour::Stalled];

/// Targets of every behaviour, each on a port of its own; they and their connections end when this is dropped.
#[derive(Debug)]
pub struct Targets {
    ports: [u16; 4],
    taken: Arc<AtomicU64>,
    accepted: Arc<AtomicUsize>,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Targets {
    /// Starts to listen on the loopback.
    ///
    /// # Errors
    /// When a socket cannot be had.
    pub fn start() -> Result<Self> {
        let mut listeners = Vec::new();
        for behaviour in ALL {
            let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            listener.set_nonblocking(true)?;
            // Many streams are opened at a time, and the default is 128.
            rustix::net::listen(&listener, BACKLOG)?;
            listeners.push((behaviour, listener));
        }
        let mut ports = [0; 4];
        for (port, (_, listener)) in ports.iter_mut().zip(&listeners) {
            *port = listener.local_addr()?.port();
        }
        let (taken, accepted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let (stop, stopped) = UnixStream::pair()?;
        let mut work = Work::new(listeners, stopped, Arc::clone(&taken), Arc::clone(&accepted))?;
        let thread = std::thread::spawn(move || {
            if let Err(error) = work.run() {
                eprintln!("the targets ended: {error}");
            }
        });
        Ok(Self { ports, taken, accepted, stop: Some(stop), thread: Some(thread) })
    }

    /// Where a target of this behaviour listens.
    #[must_use]
    pub fn port(&self, behaviour: Behaviour) -> u16 {
        self.ports[behaviour as usize]
    }

    /// Bytes that sinks have taken so far.
    #[must_use]
    pub fn taken_bytes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Connections that were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the targets panicked");
        }
    }
}

struct Connection {
    behaviour: Behaviour,
    stream: TcpStream,
    /// What an echo could not send yet.
    owed: Vec<u8>,
}

struct Work {
    epoll: rustix::fd::OwnedFd,
    listeners: Vec<(Behaviour, TcpListener)>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    taken: Arc<AtomicU64>,
    accepted: Arc<AtomicUsize>,
    _stopped: UnixStream,
}

impl Work {
    fn new(
        listeners: Vec<(Behaviour, TcpListener)>,
        stopped: UnixStream,
        taken: Arc<AtomicU64>,
        accepted: Arc<AtomicUsize>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &stopped, EventData::new_u64(STOP), EventFlags::IN)?;
        for (at, (_, listener)) in listeners.iter().enumerate() {
            epoll::add(&epoll, listener, EventData::new_u64(at as u64), EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            listeners,
            connections: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            taken,
            accepted,
            _stopped: stopped,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::<Event>::with_capacity(256);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    STOP => return Ok(()),
                    at if (at as usize) < self.listeners.len() => self.accept(at as usize)?,
                    at => self.serve(at as usize - self.listeners.len()),
                }
            }
        }
    }

    fn accept(&mut self, at: usize) -> io::Result<()> {
        let (behaviour, ref listener) = self.listeners[at];
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.accepted.fetch_add(1, Ordering::Relaxed);
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let interest = match behaviour {
                Behaviour::Source => EventFlags::OUT | EventFlags::RDHUP,
                Behaviour::Sink | Behaviour::Echo => EventFlags::IN,
                Behaviour::Stalled => EventFlags::RDHUP,
            };
            let data = EventData::new_u64((slot + self.listeners.len()) as u64);
            epoll::add(&self.epoll, stream.as_fd(), data, interest)?;
            self.connections[slot] = Some(Connection { behaviour, stream, owed: Vec::new() });
        }
    }

    fn serve(&mut self, slot: usize) {
        let Some(connection) = self.connections[slot].as_mut() else { return };
        let served = match connection.behaviour {
            Behaviour::Source => connection.stream.write(&self.buffer),
            Behaviour::Sink => discard(&connection.stream, &mut self.buffer, &self.taken),
            Behaviour::Echo => echo(connection, &mut self.buffer),
            Behaviour::Stalled => Ok(0),
        };
        let over = match served {
            Ok(0) => true,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            Ok(_) => false,
        };
        if over {
            self.connections[slot] = None;
            self.free.push(slot);
        }
    }
}

/// Has the kernel drop what it holds, without a copy.
fn discard(stream: &TcpStream, buffer: &mut [u8], taken: &AtomicU64) -> io::Result<usize> {
    let (_, length) = recv(stream, buffer, RecvFlags::TRUNC)?;
    taken.fetch_add(length as u64, Ordering::Relaxed);
    Ok(length)
}

fn echo(connection: &mut Connection, buffer: &mut [u8]) -> io::Result<usize> {
    let read = match connection.stream.read(buffer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && !connection.owed.is_empty() => 0,
        read => read?,
    };
    let was_owing = !connection.owed.is_empty();
    connection.owed.extend_from_slice(&buffer[..read]);
    match connection.stream.write(&connection.owed) {
        Ok(written) => drop(connection.owed.drain(..written)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(read + usize::from(was_owing))
}
