//! Flows of datagrams joined to a connected socket each: UDP, and ping by its encoding in [`ping`](super::ping).

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use netloom_core::{FlowId, Refusal};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tracing::debug;

use super::dial::connected_udp;
use super::error::DialError;
use super::ping::Echo;
use super::{Moved, Quota};
use crate::lan::LanTask;
use crate::socket::take_error;

/// Datagrams read from one socket before the others have their turn.
const DATAGRAMS_PER_TURN: usize = 64;

/// What the socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Udp,
    Ping(Echo),
}

/// A flow's socket.
pub(crate) struct Datagrams {
    id: FlowId,
    kind: Kind,
    socket: UdpSocket,
    over: Cell<bool>,
    wake: Notify,
    moved: Moved,
    _quota: Quota,
}

/// Opens a socket for a UDP flow.
pub(super) fn open(
    lan: &Rc<LanTask>,
    id: FlowId,
    target: SocketAddr,
    quota: Quota,
) -> io::Result<Rc<Datagrams>> {
    Datagrams::start(lan, id, Kind::Udp, connected_udp(target)?, quota)
}

impl Datagrams {
    /// Takes a connected socket that does not block into service.
    pub(super) fn start(
        lan: &Rc<LanTask>,
        id: FlowId,
        kind: Kind,
        socket: std::net::UdpSocket,
        quota: Quota,
    ) -> io::Result<Rc<Self>> {
        let socket = UdpSocket::from_std(socket)?;
        let datagrams = Rc::new(Self {
            id,
            kind,
            socket,
            over: Cell::new(false),
            wake: Notify::new(),
            moved: Moved::default(),
            _quota: quota,
        });
        spawn_local(Rc::clone(&datagrams).run(Rc::clone(lan)));
        Ok(datagrams)
    }

    pub(super) const fn moved(&self) -> &Moved {
        &self.moved
    }

    async fn run(self: Rc<Self>, lan: Rc<LanTask>) {
        // What arrived with the flow's opening was announced before there was a socket.
        self.push(&lan);
        lan.drain();
        while !self.over.get() {
            tokio::select! {
                ready = self.socket.ready(Interest::READABLE | Interest::ERROR) => {
                    let read = ready.and_then(|ready| {
                        if ready.is_error() { take_error(&self.socket).map(|()| false) } else { self.read(&lan) }
                    });
                    match read {
                        Ok(true) => tokio::task::yield_now().await,
                        Ok(false) => {}
                        Err(error) => {
                            self.fail(&lan, error);
                            lan.drain();
                        }
                    }
                }
                () = self.wake.notified() => {}
            }
        }
    }

    /// Reads datagrams for the guest; tells whether there may be more.
    fn read(&self, lan: &Rc<LanTask>) -> io::Result<bool> {
        read_turn(lan, |scratch| {
            let length = self.socket.try_recv(scratch)?;
            let read = &scratch[..length];
            let datagram = match self.kind {
                Kind::Udp => Some(read),
                Kind::Ping(echo) => echo.reply(read),
            };
            if let Some(datagram) = datagram {
                // A guest that has no room loses the datagram, as on any network.
                self.moved.sent(lan.machine.borrow_mut().write(lan.clock.now(), self.id, datagram));
            }
            Ok(())
        })
    }

    /// Sends the guest's datagrams. One that the socket has no room for is lost, as on any network.
    pub(super) fn push(&self, lan: &LanTask) {
        while !self.over.get() {
            let mut machine = lan.machine.borrow_mut();
            let Some(datagram) = machine.peek_datagram(self.id) else { break };
            // Not `try_send`: tokio would first have to learn that the socket is writable.
            let socket = SockRef::from(&self.socket);
            let sent = match self.kind {
                Kind::Udp => socket.send(datagram),
                Kind::Ping(echo) => echo.request(datagram).map_or(Ok(0), |request| socket.send(&request)),
            };
            let length = datagram.len();
            machine.take(lan.clock.now(), self.id, length);
            self.moved.received(length);
            drop(machine);
            match sent {
                Ok(_) => {}
                Err(error) if is_of_one_datagram(&error) => debug!("flow {:?}: {error}", self.id),
                Err(error) => self.fail(lan, error),
            }
        }
    }

    /// The flow is over.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.wake.notify_one();
    }

    fn fail(&self, lan: &LanTask, error: io::Error) {
        if !self.over.replace(true) {
            debug!("flow {:?}: {error}", self.id);
            let why = Refusal::from(&DialError::from(error));
            lan.flows.borrow_mut().remove(&self.id);
            lan.machine.borrow_mut().refuse(lan.clock.now(), self.id, why);
            self.wake.notify_one();
        }
    }
}

/// Has `read` read a socket's datagrams, one each time, until there are none or others have their turn; tells whether there may be more.
pub(crate) fn read_turn(
    lan: &Rc<LanTask>,
    mut read: impl FnMut(&mut [u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let outcome = (0..DATAGRAMS_PER_TURN).try_for_each(|_| read(&mut lan.scratch.borrow_mut()));
    lan.drain();
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Errors that the next datagram may not meet: too long for the path, no buffer.
fn is_of_one_datagram(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || matches!(
            error.raw_os_error().map(rustix::io::Errno::from_raw_os_error),
            Some(rustix::io::Errno::MSGSIZE | rustix::io::Errno::NOBUFS | rustix::io::Errno::NOMEM)
        )
}
