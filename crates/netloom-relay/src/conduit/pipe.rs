//! A pipe between two sockets, and the page that stands for what is in it.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Most that a pipe holds, in bytes: what the kernel gives without privileges (pipe(7)).
const CAPACITY_BYTES: usize = 1 << 20;
/// What it gives when the user has many pipes.
const SMALL_CAPACITY_BYTES: usize = 16 << 12;

/// Zeros that are never read or written, and so take no memory.
static HOLE: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; CAPACITY_BYTES]));

#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    capacity_bytes: usize,
    filled_bytes: AtomicUsize,
    /// Who waits until nothing is in it.
    filler: Mutex<Option<Waker>>,
}

impl Pipe {
    pub(super) fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let capacity_bytes = match fcntl_setpipe_size(&write, CAPACITY_BYTES) {
            Ok(_) => CAPACITY_BYTES,
            Err(_) => SMALL_CAPACITY_BYTES,
        };
        Ok(Self { read, write, capacity_bytes, filled_bytes: AtomicUsize::new(0), filler: Mutex::default() })
    }

    /// What stands for so many bytes of it.
    pub(super) fn stand_in(&self, length: usize) -> Bytes {
        HOLE.slice(..length)
    }

    /// Whether a slice stands for bytes of a pipe.
    pub(super) fn is_hole(slice: &IoSlice<'_>) -> bool {
        HOLE.as_ptr_range().contains(&slice.as_ptr())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled_bytes.load(Ordering::Acquire) == 0
    }

    pub(super) fn poll_empty(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_empty() {
            return Poll::Ready(());
        }
        let mut filler = self.filler.lock().unwrap_or_else(PoisonError::into_inner);
        *filler = Some(context.waker().clone());
        // It may have been drained meanwhile.
        if self.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Fills it, which must be empty: otherwise whose fault it is that nothing moves could not be told.
    pub(super) fn fill(&self, from: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let most = most.min(self.capacity_bytes);
        let filled = splice(from, None, &self.write, None, most, SpliceFlags::NONBLOCK)?;
        self.filled_bytes.fetch_add(filled, Ordering::Release);
        Ok(filled)
    }

    pub(super) fn drain(&self, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let drained = splice(self.read.as_fd(), None, to, None, most, SpliceFlags::NONBLOCK)?;
        if drained == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.filled_bytes.fetch_sub(drained, Ordering::AcqRel) == drained {
            let filler = self.filler.lock().unwrap_or_else(PoisonError::into_inner).take();
            filler.into_iter().for_each(Waker::wake);
        }
        Ok(drained)
    }
}
