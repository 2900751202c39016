//! A UDP stream joined to a connected socket: one packet is one datagram, and what finds no room is lost as on any network.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;

use netloom_proto::wisp::{Kind, Reason};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::debug;

use super::client::{Client, Stream};
use super::dialect::{HEAD_BYTES, PIECE_BYTES};
use super::turns::Share;
use super::{failure, reason};
use crate::egress::Target;
use crate::limit::Held;
use crate::socket::take_error;

/// Bytes of datagrams that wait for a name to be resolved.
const EARLY_BYTES: usize = 128 * 1024;
/// Datagrams for the client in one turn.
const DATAGRAMS_PER_TURN: usize = 32;

/// A stream's socket.
pub(super) struct Udp {
    id: u32,
    socket: OnceCell<UdpSocket>,
    /// What came before there was a socket.
    early: RefCell<(usize, Vec<Vec<u8>>)>,
    /// In the client's turns.
    waiting: Cell<bool>,
    /// An error that sending met, for the task.
    failed: Cell<Option<io::ErrorKind>>,
    over: Cell<bool>,
    moved: Cell<Instant>,
    wake: Notify,
    _held: Held,
}

impl Udp {
    pub(super) fn new(id: u32, held: Held) -> Rc<Self> {
        Rc::new(Self {
            id,
            socket: OnceCell::new(),
            early: RefCell::default(),
            waiting: Cell::new(false),
            failed: Cell::new(None),
            over: Cell::new(false),
            moved: Cell::new(Instant::now()),
            wake: Notify::new(),
            _held: held,
        })
    }

    /// Opens the socket, and moves datagrams until the stream is over.
    pub(super) async fn run(self: Rc<Self>, client: Rc<Client>, target: Option<Target>) {
        let Some(target) = target else {
            self.close(&client, Reason::INVALID);
            return client.serve();
        };
        let open = async {
            let _held = client.share.dial().await;
            client.dialer().open_udp(&target).await
        };
        let opened = tokio::select! {
            opened = open => opened,
            () = self.ended() => return,
        };
        match opened {
            Ok(socket) => drop(self.socket.set(socket)),
            Err(error) => {
                debug!("{target}: {error}");
                self.close(&client, reason(&error));
                return client.serve();
            }
        }
        client.opened(self.id);
        for datagram in self.early.take().1 {
            self.send(&datagram);
        }
        self.splice(&client).await;
    }

    async fn splice(self: &Rc<Self>, client: &Rc<Client>) {
        let Some(socket) = self.socket.get() else { return };
        let idle = client.worker.settings.udp_idle;
        let sleep = tokio::time::sleep_until(self.moved.get() + idle);
        tokio::pin!(sleep);
        while !self.over.get() {
            tokio::select! {
                ready = socket.ready(Interest::READABLE | Interest::ERROR), if !self.waiting.get() => {
                    match ready.and_then(|ready| if ready.is_error() { take_error(socket) } else { Ok(()) }) {
                        Ok(()) => {
                            self.waiting.set(true);
                            client.enqueue(Stream::Udp(Rc::clone(self)), Share::Small);
                        }
                        Err(error) => self.fail(client, &error),
                    }
                    client.serve();
                }
                () = &mut sleep => {
                    let until = self.moved.get() + idle;
                    if until <= Instant::now() {
                        self.close(client, Reason::IDLE);
                        client.serve();
                    } else {
                        sleep.as_mut().reset(until);
                    }
                }
                () = self.wake.notified() => {
                    if let Some(kind) = self.failed.take() {
                        self.fail(client, &kind.into());
                        client.serve();
                    }
                }
            }
        }
    }

    /// Sends the client some of what the target has sent; how many bytes.
    pub(super) fn take_turn(self: &Rc<Self>, client: &Client) -> usize {
        self.waiting.set(false);
        let Some(socket) = self.socket.get() else { return 0 };
        let mut sent = 0;
        for _ in 0..DATAGRAMS_PER_TURN {
            if self.over.get() || client.is_blocked() {
                break;
            }
            let mut scratch = client.worker.scratch.borrow_mut();
            match socket.try_recv(&mut scratch[HEAD_BYTES..PIECE_BYTES]) {
                Ok(read) => {
                    client.send_data(self.id, &mut scratch, read);
                    self.moved.set(Instant::now());
                    sent += read;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.fail(client, &error);
                    break;
                }
            }
        }
        // Whatever the socket still has shows when it is waited for.
        self.wake.notify_one();
        sent
    }

    /// Sends a datagram of the client's.
    pub(super) fn send(&self, datagram: &[u8]) {
        if self.over.get() {
            return;
        }
        self.moved.set(Instant::now());
        let Some(socket) = self.socket.get() else {
            let (bytes, early) = &mut *self.early.borrow_mut();
            if *bytes + datagram.len() <= EARLY_BYTES {
                // An empty one has its weight too.
                *bytes += datagram.len() + 64;
                early.push(datagram.to_vec());
            }
            return;
        };
        // Not `try_send`: tokio would first have to learn that the socket is writable. What it cannot take is lost.
        if let Err(error) = SockRef::from(socket).send(datagram) {
            use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
            debug!("stream {}: {error}", self.id);
            // By ICMP, and told to whoever asks the socket next.
            if matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable) {
                self.failed.set(Some(error.kind()));
                self.wake.notify_one();
            }
        }
    }

    pub(super) fn end(&self) {
        self.over.set(true);
        self.wake.notify_one();
    }

    async fn ended(&self) {
        while !self.over.get() {
            self.wake.notified().await;
        }
    }

    /// The caller serves the client.
    fn fail(&self, client: &Client, error: &io::Error) {
        debug!("stream {}: {error}", self.id);
        self.close(client, failure(Kind::Udp, error));
    }

    fn close(&self, client: &Client, why: Reason) {
        if !self.over.replace(true) {
            client.end(self.id, why);
            self.wake.notify_one();
        }
    }
}
