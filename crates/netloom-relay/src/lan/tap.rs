//! A TAP as a port: the kernel's frames in to the machine and the machine's out to the kernel, each with what is left to do in it, so that
//! segmentation and checksums are left to whoever needs them.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;

use netloom_core::{Lan, PortConfig};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_local;
use tracing::{info, warn};

use super::{Kind, LanTask, Member, machine};
use crate::capture::Captures;
use crate::config::TapSettings;
use crate::tap::Tap;
use crate::tap::header::{self, HEADER_BYTES};

/// Frames that are read before the machine speaks, at most.
const BATCH_FRAMES: usize = 64;
/// Bytes of them, at most.
const BATCH_BYTES: usize = 256 * 1024;
/// Batches before the others have their turn.
const BATCHES_PER_TURN: usize = 4;
/// Bytes of frames that may wait for the kernel: some large segments.
const QUEUE_BYTES: usize = 2 << 20;

/// A TAP at a port.
pub(super) struct TapPort {
    member: Rc<Member>,
    device: AsyncFd<Tap>,
    /// Frames that the kernel did not take.
    refused: Cell<u64>,
    stop: Notify,
    /// Dropped after the device: whoever waits for it finds the interface free.
    here: watch::Sender<()>,
}

/// A TAP on its way out of a LAN.
pub(crate) struct Leaving(watch::Receiver<()>);

impl Leaving {
    /// Waits until the relay no longer has the interface.
    pub(crate) async fn gone(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl LanTask {
    /// Makes a TAP a port of the LAN.
    pub(crate) fn join_tap(self: &Rc<Self>, tap: Tap) {
        let name = tap.settings().to_string();
        #[expect(
            deprecated,
            reason = "what is in its place is unsafe; a Tap keeps its descriptor until it is dropped"
        )]
        let device = match AsyncFd::with_interest(tap, Interest::READABLE) {
            Ok(device) => device,
            Err(error) => return warn!("TAP {name} cannot join LAN {}: {error}", self.settings().name),
        };
        let port = self.machine.borrow_mut().open_port(config(self));
        info!("TAP {name} joined LAN {}", self.settings().name);
        let member = Rc::new(Member::new(port, name, Kind::Tap));
        self.members.borrow_mut().insert(port, Rc::clone(&member));
        let (here, _) = watch::channel(());
        let tap = Rc::new(TapPort { member, device, refused: Cell::new(0), stop: Notify::new(), here });
        self.taps.borrow_mut().insert(port, Rc::clone(&tap));
        spawn_local(tap.run(Rc::clone(self)));
        self.drain();
    }

    /// Takes TAPs out of the LAN.
    pub(super) fn leave_taps(&self, is_to_leave: impl Fn(&TapSettings) -> bool) -> Vec<Leaving> {
        let taps = self.taps.borrow();
        let leaving = taps.values().filter(|tap| is_to_leave(tap.device.get_ref().settings()));
        leaving
            .map(|tap| {
                tap.stop.notify_one();
                Leaving(tap.here.subscribe())
            })
            .collect()
    }

    /// The same by its number, which [`Member::id`] is; false if there is none.
    pub(super) fn kick_tap(&self, id: u64) -> bool {
        let taps = self.taps.borrow();
        let found = taps.values().find(|tap| tap.member.id == id);
        found.inspect(|tap| tap.stop.notify_one()).is_some()
    }
}

fn config(lan: &LanTask) -> PortConfig {
    PortConfig {
        offloads: true,
        queue_bytes: QUEUE_BYTES,
        // Linux receives multicast, and many may be behind it.
        multicast_to_unicast: false,
        ..machine::port(&lan.settings())
    }
}

impl TapPort {
    /// Serves the TAP until it is gone.
    async fn run(self: Rc<Self>, lan: Rc<LanTask>) {
        let name = self.device.get_ref().settings();
        loop {
            let ready = tokio::select! {
                ready = self.device.readable() => ready,
                () = self.stop.notified() => break,
            };
            let more = ready.and_then(|mut ready| match self.read(&lan) {
                Ok(true) => Ok(true),
                Ok(false) => {
                    ready.clear_ready();
                    Ok(false)
                }
                Err(error) => Err(error),
            });
            match more {
                Ok(true) => tokio::task::yield_now().await,
                Ok(false) => {}
                Err(error) => {
                    warn!(
                        "TAP {name} is gone from LAN {} ({error}); start the relay again",
                        lan.settings().name
                    );
                    break;
                }
            }
        }
        info!(
            "TAP {name} left LAN {}; the kernel did not take {} frames",
            lan.settings().name,
            self.refused.get()
        );
        lan.taps.borrow_mut().remove(&self.member.port());
        lan.close_port(self.member.port());
        lan.drain();
    }

    /// Reads what the kernel has; tells whether there may be more.
    fn read(&self, lan: &Rc<LanTask>) -> io::Result<bool> {
        for _ in 0..BATCHES_PER_TURN {
            let more = self.read_batch(lan);
            lan.drain();
            if !more? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_batch(&self, lan: &LanTask) -> io::Result<bool> {
        let now = lan.clock.now();
        let mut machine = lan.machine.borrow_mut();
        let mut scratch = lan.scratch.borrow_mut();
        let mut bytes = 0;
        for _ in 0..BATCH_FRAMES {
            let length = match rustix::io::read(self.device.get_ref(), &mut scratch[..]) {
                Ok(length) => length,
                Err(Errno::INTR) => continue,
                // While the interface is down there is nothing to read.
                Err(Errno::AGAIN | Errno::IO) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let Some((header, frame)) = scratch[..length].split_first_chunk::<HEADER_BYTES>() else {
                continue;
            };
            self.member.traffic.received(frame.len());
            lan.captures.received(&self.member, frame);
            machine.handle_offloaded(now, self.member.port(), frame, header::parse(header));
            bytes += length;
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        Ok(true)
    }

    /// Moves frames from the port's queue to the kernel, which takes or drops each at once.
    pub(super) fn pump(&self, machine: &mut Lan, now: netloom_core::Instant, captures: &Captures) {
        while let Some((frame, offload)) = machine.poll_offloaded(now, self.member.port()) {
            self.member.traffic.sent(frame.len());
            captures.sent(&self.member, frame);
            let header = header::emit(frame, offload);
            if rustix::io::writev(self.device.get_ref(), &[IoSlice::new(&header), IoSlice::new(frame)])
                .is_err()
            {
                self.refused.set(self.refused.get() + 1);
            }
        }
    }
}
