//! A host of the simulator run in real time, as one end of a [`crate::splice::Splice`].
//!
//! Owns the host, the clock's origin and a timer that is readable when the host has something to do.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netloom_sim::{Host, Outcome, Role};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::splice::{End, READ_BUDGET_BYTES};

/// How a host's programs have ended, seen from other threads.
#[derive(Debug, Default)]
pub struct Ends {
    outcomes: Mutex<Vec<Outcome>>,
    changed: Condvar,
}

impl Ends {
    /// Waits until so many programs have ended, or for so long; how those that have ended did.
    pub fn wait(&self, count: usize, patience: Duration) -> Vec<Outcome> {
        let outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(outcomes, patience, |outcomes| outcomes.len() < count);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn tell(&self, finished: &[(Role, Outcome)]) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let news = finished.get(outcomes.len()..).unwrap_or_default();
        if !news.is_empty() {
            outcomes.extend(news.iter().map(|(_, outcome)| *outcome));
            self.changed.notify_all();
        }
    }
}

/// A host as an end of a cable: see the module's documentation.
pub struct HostEnd<H> {
    host: H,
    origin: Instant,
    timer: OwnedFd,
    /// When the timer is set to.
    due: Option<netloom_core::Instant>,
    /// Whether the host has taken a frame, or more than its budget was left to send, since it was last asked for frames.
    busy: bool,
    ends: Arc<Ends>,
}

impl<H: Host> HostEnd<H> {
    /// The host's clock starts now.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn new(host: H) -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let mut end =
            Self { host, origin: Instant::now(), timer, due: None, busy: true, ends: Arc::default() };
        end.set_timer()?;
        Ok(end)
    }

    /// How its programs end.
    #[must_use]
    pub fn ends(&self) -> Arc<Ends> {
        self.ends.clone()
    }

    fn now(&self) -> netloom_core::Instant {
        netloom_core::Instant::from_us(self.origin.elapsed().as_micros() as u64)
    }

    fn set_timer(&mut self) -> io::Result<()> {
        let now = self.now();
        let due = if self.busy { Some(now) } else { self.host.poll_timeout(now) };
        if due == self.due {
            return Ok(());
        }
        self.due = due;
        // Zero would stop the timer.
        let wait = due.map(|due| due.since(now).max(Duration::from_nanos(1)));
        let it_value = Timespec::try_from(wait.unwrap_or_default()).map_err(io::Error::other)?;
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        Ok(())
    }
}

impl<H: Host> End for HostEnd<H> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        match rustix::io::read(&self.timer, &mut [0; 8]) {
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.due = None;
        self.busy = false;
        let (now, mut taken_bytes) = (self.now(), 0);
        while let Some(frame) = self.host.poll_frame(now) {
            taken_bytes += frame.len();
            each(&frame);
            if taken_bytes >= READ_BUDGET_BYTES {
                self.busy = true;
                break;
            }
        }
        self.ends.tell(self.host.finished());
        Ok(())
    }

    fn send(&mut self, frame: &[u8]) {
        let now = self.now();
        self.host.handle_frame(now, frame);
        self.busy = true;
    }

    fn flush(&mut self) -> io::Result<()> {
        self.set_timer()
    }

    fn backlog_bytes(&self) -> usize {
        0
    }
}
