//! A TCP stream joined to a socket: what the client sends is written at once or queued, what the target sends is read when it is the
//! stream's turn on the WebSocket.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use netloom_proto::wisp::{Kind, Reason};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::debug;

use super::client::{Client, Stream};
use super::dialect::{HEAD_BYTES, PAYLOAD_BYTES, PIECE_BYTES};
use super::queue::Queue;
use super::turns::Share;
use super::{failure, linger, reason};
use crate::egress::Target;
use crate::limit::Held;
use crate::socket;

/// Bytes that a stream that had little so far sends to the client in one turn; others send several pieces.
const SMALL_BYTES: usize = 16 * 1024;
/// A packet of so many bytes is written straight from where it was read.
const DIRECT_BYTES: usize = 8 * 1024;

/// A stream's socket, from the dial on.
pub(super) struct Tcp {
    id: u32,
    socket: OnceCell<TcpStream>,
    queue: RefCell<Queue>,
    /// Packets that the target has taken and the client has not heard of.
    done_packets: Cell<u32>,
    /// Something arrived in this reading of the WebSocket.
    touched: Cell<bool>,
    /// The socket takes no more for now.
    blocked: Cell<bool>,
    /// In the client's turns.
    waiting: Cell<bool>,
    /// The client lets us send no more for now.
    starved: Cell<bool>,
    share: Cell<Share>,
    target_done: Cell<bool>,
    /// The client sends no more after what is queued.
    client_done: Cell<bool>,
    /// The socket's sending side is shut.
    shut: Cell<bool>,
    /// The client has no stream of that name any more.
    detached: Cell<bool>,
    over: Cell<bool>,
    written: Cell<Option<Instant>>,
    wake: Notify,
    _held: Held,
}

impl Tcp {
    pub(super) fn new(id: u32, held: Held) -> Rc<Self> {
        Rc::new(Self {
            id,
            socket: OnceCell::new(),
            queue: RefCell::default(),
            done_packets: Cell::new(0),
            touched: Cell::new(false),
            blocked: Cell::new(false),
            waiting: Cell::new(false),
            starved: Cell::new(false),
            share: Cell::new(Share::Small),
            target_done: Cell::new(false),
            client_done: Cell::new(false),
            shut: Cell::new(false),
            detached: Cell::new(false),
            over: Cell::new(false),
            written: Cell::new(None),
            wake: Notify::new(),
            _held: held,
        })
    }

    /// Dials, and moves bytes until the stream is over.
    pub(super) async fn run(self: Rc<Self>, client: Rc<Client>, target: Option<Target>) {
        match target {
            Some(target) => self.serve(&client, &target).await,
            None => self.refuse(&client, Reason::INVALID),
        }
        client.release(self.queue.take().len());
    }

    async fn serve(self: &Rc<Self>, client: &Rc<Client>, target: &Target) {
        let dial = async {
            let _held = client.share.dial().await;
            client.dialer().dial_tcp(target).await
        };
        let dialled = tokio::select! {
            dialled = dial => dialled,
            () = self.ended() => return,
        };
        match dialled {
            Ok(socket) => drop(self.socket.set(socket)),
            Err(error) => {
                debug!("{target}: {error}");
                return self.refuse(client, reason(&error));
            }
        }
        if !self.detached.get() {
            client.opened(self.id);
        }
        self.flush(client);
        client.serve();
        self.splice(client).await;
    }

    async fn splice(self: &Rc<Self>, client: &Rc<Client>) {
        let Some(socket) = self.socket.get() else { return };
        while !self.over.get() {
            if self.detached.get() {
                let recently = self.written.get().is_some_and(|at| at.elapsed() < linger::RECENT);
                return linger::deliver(self, client, socket, recently && !self.target_done.get()).await;
            }
            let reads = !(self.waiting.get() || self.starved.get() || self.target_done.get());
            tokio::select! {
                ready = socket.readable(), if reads => match ready {
                    Ok(()) => {
                        self.wait_for_turn(client);
                        client.serve();
                    }
                    Err(error) => self.fail(client, &error),
                },
                ready = socket.writable(), if self.blocked.get() => {
                    self.blocked.set(false);
                    match ready {
                        Ok(()) => self.flush(client),
                        Err(error) => self.fail(client, &error),
                    }
                    client.serve();
                }
                () = self.wake.notified() => {
                    if self.client_done.get() {
                        self.flush(client);
                    }
                }
            }
        }
    }

    fn wait_for_turn(self: &Rc<Self>, client: &Client) {
        self.waiting.set(true);
        client.enqueue(Stream::Tcp(Rc::clone(self)), self.share.get());
    }

    /// Sends the client a piece of what the target has; how many bytes.
    pub(super) fn take_turn(self: &Rc<Self>, client: &Client) -> usize {
        self.waiting.set(false);
        let Some(socket) = self.socket.get().filter(|_| !self.over.get() && !self.detached.get()) else {
            return 0;
        };
        let mut scratch = client.worker.scratch.borrow_mut();
        let most = match self.share.get() {
            Share::Small => SMALL_BYTES,
            Share::Bulk => scratch.len() / PIECE_BYTES * PAYLOAD_BYTES,
        };
        let room = client.room(self.id).min(most).min(client.allowed_bytes());
        if room == 0 {
            self.starved.set(true);
            return 0;
        }
        let mut left = room;
        let pieces = scratch.chunks_exact_mut(PIECE_BYTES).map_while(|piece| {
            let bytes = left.min(PAYLOAD_BYTES);
            left -= bytes;
            (bytes > 0).then(|| IoSliceMut::new(&mut piece[HEAD_BYTES..HEAD_BYTES + bytes]))
        });
        let read = socket::read_vectored(socket, &mut pieces.collect::<Vec<_>>());
        let sent = match read {
            Ok(0) => {
                self.target_done.set(true);
                client.fin(self.id);
                0
            }
            Ok(read) => {
                client.send_data(self.id, &mut scratch, read);
                self.share.set(if read >= SMALL_BYTES { Share::Bulk } else { Share::Small });
                if read == room {
                    self.wait_for_turn(client);
                    return read;
                }
                read
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                self.fail(client, &error);
                0
            }
        };
        // The socket is waited for again.
        self.wake.notify_one();
        sent
    }

    /// Takes a packet from the client; tells whether it is the first in this reading of the WebSocket, after which comes a flush.
    pub(super) fn receive(&self, client: &Client, packet: &[u8]) -> bool {
        if self.over.get() {
            return false;
        }
        let mut queue = self.queue.borrow_mut();
        let mut taken = 0;
        if packet.len() >= DIRECT_BYTES
            && queue.is_empty()
            && !self.blocked.get()
            && let Some(socket) = self.socket.get()
        {
            // An error comes again when the rest is written.
            taken = socket.try_write(packet).unwrap_or(0);
        }
        if taken == packet.len() {
            self.done_packets.set(self.done_packets.get() + 1);
            self.written.set(Some(Instant::now()));
        } else {
            if !queue.has_buffer() {
                queue.adopt(client.worker.spare());
            }
            queue.push(packet, taken);
            client.hold(packet.len() - taken);
        }
        !self.touched.replace(true)
    }

    /// Writes what the client sent, as much as the socket takes. The caller serves the client.
    pub(super) fn flush(&self, client: &Client) {
        self.touched.set(false);
        let Some(socket) = self.socket.get().filter(|_| !self.over.get()) else { return };
        let mut done = self.done_packets.take();
        let mut queue = self.queue.borrow_mut();
        while !queue.is_empty() && !self.blocked.get() {
            let (first, second) = queue.parts();
            match socket.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(written) => {
                    done += queue.take(written);
                    client.release(written);
                    self.written.set(Some(Instant::now()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked.set(true);
                    self.wake.notify_one();
                }
                Err(error) => {
                    drop(queue);
                    return self.fail(client, &error);
                }
            }
        }
        if queue.is_empty() {
            if queue.has_buffer() {
                client.worker.keep(queue.give_up());
            }
            if self.client_done.get() && !self.shut.replace(true) {
                // Fails only if the target has reset meanwhile, which reading tells.
                drop(SockRef::from(socket).shutdown(Shutdown::Write));
            }
        }
        if done > 0 && !self.detached.get() {
            client.taken(self.id, done);
        }
    }

    /// Bytes that wait for the target.
    pub(super) fn held_bytes(&self) -> usize {
        self.queue.borrow().len()
    }

    /// The client sends no more after what is queued.
    pub(super) fn finish(&self) {
        self.client_done.set(true);
        self.wake.notify_one();
    }

    /// The client lets us send more.
    pub(super) fn resume(&self) {
        if self.starved.replace(false) {
            self.wake.notify_one();
        }
    }

    /// The client is done with the stream. What it sent is delivered still if it ended in order; otherwise the target is told by a reset.
    pub(super) fn detach(&self, in_order: bool) {
        self.detached.set(true);
        self.client_done.set(true);
        if !in_order {
            if let Some(socket) = self.socket.get() {
                drop(SockRef::from(socket).set_linger(Some(Duration::ZERO)));
            }
            self.over.set(true);
        } else if self.socket.get().is_none() && self.queue.borrow().is_empty() {
            self.over.set(true);
        }
        self.wake.notify_one();
    }

    /// Until the socket may take more.
    pub(super) async fn writable(&self, socket: &TcpStream) -> io::Result<()> {
        socket.writable().await?;
        self.blocked.set(false);
        Ok(())
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    async fn ended(&self) {
        while !self.over.get() {
            self.wake.notified().await;
        }
    }

    fn refuse(&self, client: &Client, why: Reason) {
        if !self.over.replace(true) && !self.detached.get() {
            client.end(self.id, why);
            client.serve();
        }
    }

    /// The socket failed. The caller serves the client.
    fn fail(&self, client: &Client, error: &io::Error) {
        if !self.over.replace(true) {
            debug!("stream {}: {error}", self.id);
            self.wake.notify_one();
            if !self.detached.get() {
                client.end(self.id, failure(Kind::Tcp, error));
            }
        }
    }
}
