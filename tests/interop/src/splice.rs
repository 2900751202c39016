//! Joins two ends of a cable, frame by frame, as fast as one thread can or across an impaired link.
//!
//! Owns both ends and the thread. An end whose far side does not keep up holds back the other end's reading, so that
//! nothing is dropped here: what is lost, the device, the link or the relay lost.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::link::Impairment;

/// The largest frame: a 65,535-byte packet and its Ethernet header.
pub const MAX_FRAME_BYTES: usize = 65_549;
/// What one end may take in before the other is served.
pub const READ_BUDGET_BYTES: usize = 256 * 1024;
const BACKLOG_LIMIT_BYTES: usize = 512 * 1024;

/// One end of a cable: it gives and takes whole Ethernet frames and never blocks.
pub trait End {
    /// What to poll.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Hands over the frames that have arrived, about [`READ_BUDGET_BYTES`] of them.
    ///
    /// # Errors
    /// When the far side is gone.
    fn receive(&mut self, each: impl FnMut(&[u8])) -> io::Result<()>;

    /// Sends or queues a frame.
    fn send(&mut self, frame: &[u8]);

    /// Writes what is queued, as far as the far side takes it.
    ///
    /// # Errors
    /// When the far side is gone.
    fn flush(&mut self) -> io::Result<()>;

    /// Bytes queued and not yet written.
    fn backlog_bytes(&self) -> usize;
}

#[derive(Debug, Default)]
struct Counts {
    from_a: AtomicU64,
    from_b: AtomicU64,
}

/// A running joint of two ends; dropping it closes both.
#[derive(Debug)]
pub struct Splice {
    stop: Arc<OwnedFd>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<io::Result<Option<Impairment>>>>,
}

impl Splice {
    /// Joins `a` and `b` on a thread of its own; `impairment` applies to both directions.
    ///
    /// # Errors
    /// When the kernel has no descriptor or thread left.
    pub fn start<A: End + Send + 'static, B: End + Send + 'static>(
        a: A,
        b: B,
        impairment: Option<Impairment>,
    ) -> Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let counts = Arc::new(Counts::default());
        let mut joint = Joint { a, b, impairment, stop: stop.clone(), counts: counts.clone() };
        let thread = thread::Builder::new().name("splice".to_owned()).spawn(move || {
            joint.run()?;
            Ok(joint.impairment)
        })?;
        Ok(Self { stop, counts, thread: Some(thread) })
    }

    /// Frames taken from the first and from the second end so far.
    #[must_use]
    pub fn frames(&self) -> (u64, u64) {
        (self.counts.from_a.load(Ordering::Relaxed), self.counts.from_b.load(Ordering::Relaxed))
    }

    /// Whether both ends are still there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Closes both ends and gives back the impairment, which knows what it did.
    ///
    /// # Errors
    /// When an end had gone away before.
    pub fn finish(mut self) -> Result<Option<Impairment>> {
        self.end().context("an end of the splice went away")
    }

    fn end(&mut self) -> Result<Option<Impairment>> {
        let Some(thread) = self.thread.take() else { return Ok(None) };
        rustix::io::write(&*self.stop, &1_u64.to_ne_bytes())?;
        Ok(thread.join().map_err(|_| anyhow!("the splice panicked"))??)
    }
}

impl Drop for Splice {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("splice: {error:#}");
        }
    }
}

struct Joint<A, B> {
    a: A,
    b: B,
    impairment: Option<Impairment>,
    stop: Arc<OwnedFd>,
    counts: Arc<Counts>,
}

impl<A: End, B: End> Joint<A, B> {
    fn run(&mut self) -> io::Result<()> {
        loop {
            let Some((a_ready, b_ready)) = self.wait()? else { return Ok(()) };
            if a_ready {
                let (b, impairment) = (&mut self.b, &mut self.impairment);
                let mut frames = 0;
                self.a.receive(|frame| {
                    frames += 1;
                    match impairment {
                        Some(impairment) => impairment.push_forward(frame),
                        None => b.send(frame),
                    }
                })?;
                self.counts.from_a.fetch_add(frames, Ordering::Relaxed);
            }
            if b_ready {
                let (a, impairment) = (&mut self.a, &mut self.impairment);
                let mut frames = 0;
                self.b.receive(|frame| {
                    frames += 1;
                    match impairment {
                        Some(impairment) => impairment.push_backward(frame),
                        None => a.send(frame),
                    }
                })?;
                self.counts.from_b.fetch_add(frames, Ordering::Relaxed);
            }
            if let Some(impairment) = &mut self.impairment {
                impairment.drain_forward(|frame| self.b.send(frame));
                impairment.drain_backward(|frame| self.a.send(frame));
            }
            self.a.flush()?;
            self.b.flush()?;
        }
    }

    /// Which ends have something to read, or nothing when the splice is to stop.
    fn wait(&self) -> io::Result<Option<(bool, bool)>> {
        let interest = |own: usize, other: usize| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, other < BACKLOG_LIMIT_BYTES);
            flags.set(PollFlags::OUT, own > 0);
            flags
        };
        let (a_backlog, b_backlog) = (self.a.backlog_bytes(), self.b.backlog_bytes());
        let (a_interest, b_interest) = (interest(a_backlog, b_backlog), interest(b_backlog, a_backlog));
        let patience = self.impairment.as_ref().and_then(Impairment::patience);
        let mut fds = [
            PollFd::from_borrowed_fd(self.a.fd(), a_interest),
            PollFd::from_borrowed_fd(self.b.fd(), b_interest),
            PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN),
        ];
        let timeout = patience.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !fds[2].revents().is_empty() {
            return Ok(None);
        }
        let broken = PollFlags::HUP | PollFlags::ERR;
        let readable = |fd: &PollFd<'_>, interest: PollFlags| {
            interest.contains(PollFlags::IN) && fd.revents().intersects(PollFlags::IN | broken)
        };
        Ok(Some((readable(&fds[0], a_interest), readable(&fds[1], b_interest))))
    }
}
