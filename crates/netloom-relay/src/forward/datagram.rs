//! Datagrams to a forward's UDP port: a flow of the machine for every peer, and one socket for all of them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use netloom_core::FlowId;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::listener::Attached;
use super::peers::LeastRecent;
use super::{Active, Open, guest};
use crate::egress::{self, Flow, Moved};
use crate::lan::LanTask;
use crate::limit::{Lane, Share};

/// Peers of one forward. Of more the one that was silent longest is forgotten.
const MAX_PEERS: usize = 4096;
/// How long a guest may leave a peer that goes on sending without an answer, before it is looked for anew.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long reading rests after an error of the socket.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// Who sends, and to which of this host's addresses, where the socket has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    peer: SocketAddr,
    /// With the interface that it came by.
    local: Option<(IpAddr, u32)>,
}

/// A peer's flow.
pub(crate) struct Peer {
    id: FlowId,
    ends: Ends,
    guest: IpAddr,
    active: Rc<Active>,
    peers: Rc<RefCell<Peers>>,
    /// When the guest sent last, or was looked for.
    seen: Cell<Instant>,
    moved: Moved,
    /// What may come and go now by the limits of its address.
    upload: Lane,
    download: Lane,
    _share: Share,
    _held: Open,
}

type Peers = LeastRecent<Ends, Rc<Peer>>;

/// What ends with the task: the flows of all peers.
struct Serving {
    lan: Rc<LanTask>,
    active: Rc<Active>,
    peers: Rc<RefCell<Peers>>,
}

/// Carries datagrams for as long as it is polled.
pub(super) async fn serve(lan: Rc<LanTask>, active: Rc<Active>) {
    let serving = Serving { lan, active, peers: Rc::new(RefCell::new(LeastRecent::new(MAX_PEERS))) };
    let mut control = nix::cmsg_space!(in6_pktinfo);
    loop {
        let read = poll_fn(|context| match &*serving.active.socket.borrow() {
            Some(Attached::Udp(socket)) => {
                ready!(socket.poll_recv_ready(context))?;
                Poll::Ready(serving.read(socket, &mut control))
            }
            _ => Poll::Pending,
        });
        match read.await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => {}
            Err(error) => {
                warn!("{}: {error}", serving.active.forward);
                sleep(READ_PAUSE).await;
            }
        }
    }
}

impl Serving {
    /// Reads datagrams for the guest; tells whether there may be more.
    fn read(&self, socket: &UdpSocket, control: &mut [u8]) -> io::Result<bool> {
        egress::read_turn(&self.lan, |scratch| {
            let (ends, length) = socket.try_io(Interest::READABLE, || receive(socket, scratch, control))?;
            if let Some(ends) = ends {
                self.put(ends, &scratch[..length]);
            }
            Ok(())
        })
    }

    /// Hands a datagram to the guest; without one it is lost, as on any network.
    fn put(&self, ends: Ends, datagram: &[u8]) {
        let known = self.peers.borrow_mut().use_now(&ends).map(Rc::clone);
        let known = known.filter(|peer| !self.has_moved(peer));
        let Some(peer) = known.or_else(|| self.open(ends)) else { return };
        if !self.active.admits(&peer.upload, datagram.len()) {
            return;
        }
        peer.moved.sent(self.lan.machine.borrow_mut().write(self.lan.clock.now(), peer.id, datagram));
    }

    /// Whether the guest of a peer is elsewhere now. The peer's flow is then over.
    fn has_moved(&self, peer: &Rc<Peer>) -> bool {
        let now = Instant::now();
        if now.duration_since(peer.seen.get()) < ANSWER_TIMEOUT {
            return false;
        }
        peer.seen.set(now);
        let found = self.find(peer.ends);
        let stays = {
            let machine = self.lan.machine.borrow();
            found == Some(peer.guest)
                && found.and_then(|address| machine.guest_of(address)) == machine.guest_of_flow(peer.id)
        };
        if !stays && found.is_some() {
            peer.close(&self.lan);
            return true;
        }
        false
    }

    fn find(&self, ends: Ends) -> Option<IpAddr> {
        let forward = &self.active.forward;
        guest::find(&self.lan, &forward.guest, forward.keep_source.then(|| ends.peer.ip()))
    }

    fn open(&self, ends: Ends) -> Option<Rc<Peer>> {
        let forward = &self.active.forward;
        let guest = self.find(ends)?;
        let Ok(share) = self.lan.limits.visit(Some(ends.peer.ip())) else {
            self.active.dropped.update(|count| count + 1);
            return None;
        };
        let target = SocketAddr::new(guest, forward.port);
        let source = forward.keep_source.then_some(ends.peer);
        let opened = {
            let (mut machine, now) = (self.lan.machine.borrow_mut(), self.lan.clock.now());
            egress::open_from(source, |source| machine.open_datagrams(now, source, target))
        };
        let id = match opened {
            Ok(id) => id,
            Err(error) => {
                debug!("{} to guest {target}: {error}", ends.peer);
                return None;
            }
        };
        debug!("{} to guest {target}, by {forward}", ends.peer);
        let peer = Rc::new(Peer {
            id,
            ends,
            guest,
            active: Rc::clone(&self.active),
            peers: Rc::clone(&self.peers),
            seen: Cell::new(Instant::now()),
            moved: Moved::default(),
            upload: share.upload(),
            download: share.download(),
            _share: share,
            _held: Open::new(&self.active),
        });
        self.lan.flows.borrow_mut().insert(id, Flow::Peer(Rc::clone(&peer)));
        let forgotten = self.peers.borrow_mut().insert(ends, Rc::clone(&peer));
        if let Some(forgotten) = forgotten {
            forgotten.close(&self.lan);
        }
        Some(peer)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let peers = self.peers.borrow_mut().drain();
        for peer in peers {
            peer.close(&self.lan);
        }
    }
}

impl Peer {
    /// Sends what the guest sent. What the socket has no room for is lost, as on any network.
    pub(crate) fn push(&self, lan: &LanTask) {
        self.seen.set(Instant::now());
        let socket = self.active.socket.borrow();
        loop {
            let mut machine = lan.machine.borrow_mut();
            let Some(datagram) = machine.peek_datagram(self.id) else { return };
            if let Some(Attached::Udp(socket)) = &*socket
                && self.active.admits(&self.download, datagram.len())
                && let Err(error) = send(socket, self.ends, datagram)
            {
                debug!("{}: {error}", self.ends.peer);
            }
            let length = datagram.len();
            machine.take(lan.clock.now(), self.id, length);
            self.moved.received(length);
        }
    }

    pub(crate) const fn moved(&self) -> &Moved {
        &self.moved
    }

    /// The flow is over.
    pub(crate) fn end(&self) {
        let mut peers = self.peers.borrow_mut();
        if peers.get(&self.ends).is_some_and(|known| known.id == self.id) {
            peers.remove(&self.ends);
        }
    }

    /// Ends the flow.
    fn close(&self, lan: &LanTask) {
        lan.flows.borrow_mut().remove(&self.id);
        lan.machine.borrow_mut().reset(self.id);
        self.end();
    }
}

/// One datagram and its ends, as far as it has any that we know.
fn receive(socket: &UdpSocket, buffer: &mut [u8], control: &mut [u8]) -> io::Result<(Option<Ends>, usize)> {
    let mut parts = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(control), MsgFlags::MSG_DONTWAIT)?;
    let local = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            let address = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
            Some((address.into(), 0))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some((Ipv6Addr::from(info.ipi6_addr.s6_addr).into(), info.ipi6_ifindex))
        }
        _ => None,
    });
    let ends = message.address.as_ref().and_then(socket_address).map(|peer| Ends { peer, local });
    Ok((ends, message.bytes))
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| Some(SocketAddr::V6((*address.as_sockaddr_in6()?).into())))
}

/// Answers a peer from the address that it sent to.
fn send(socket: &UdpSocket, ends: Ends, datagram: &[u8]) -> io::Result<()> {
    let to = SockaddrStorage::from(ends.peer);
    let parts = [IoSlice::new(datagram)];
    let descriptor = socket.as_raw_fd();
    let flags = MsgFlags::MSG_DONTWAIT;
    match ends.local {
        Some((IpAddr::V4(own), _)) => {
            let any = in_addr { s_addr: 0 };
            let own = in_addr { s_addr: u32::from_ne_bytes(own.octets()) };
            let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: any };
            sendmsg(descriptor, &parts, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&to))?;
        }
        Some((IpAddr::V6(own), interface)) => {
            let info = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: own.octets() }, ipi6_ifindex: interface };
            sendmsg(descriptor, &parts, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&to))?;
        }
        None => {
            sendmsg(descriptor, &parts, &[], flags, Some(&to))?;
        }
    }
    Ok(())
}
