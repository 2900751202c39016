//! A connection under TLS, read and written as any other socket of a client: the session over the socket, without a thread, a task or a
//! descriptor of its own.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read as _, Write as _};

use rustls::ServerConnection;
use tokio::net::TcpStream;

/// Bytes that are encrypted and wait for the socket at the most.
const UNSENT_BYTES: usize = 128 * 1024;

/// A session and its socket.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    stream: TcpStream,
    session: RefCell<Session>,
    /// There may be more to read, whether the socket has more or not.
    more: Cell<bool>,
}

#[derive(Debug)]
struct Session {
    tls: ServerConnection,
    /// Bytes that are encrypted but have not all left, so that their writer has not heard that they were taken: it comes again with them.
    owed: usize,
}

impl TlsSocket {
    /// A session after its handshake.
    pub(crate) fn new(stream: TcpStream, mut tls: ServerConnection) -> Self {
        tls.set_buffer_limit(Some(UNSENT_BYTES));
        Self { stream, session: RefCell::new(Session { tls, owed: 0 }), more: Cell::new(true) }
    }

    pub(crate) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        if self.more.get() { Ok(()) } else { self.stream.readable().await }
    }

    /// Reads what has arrived, as much as there is room for.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        let mut filled = 0;
        self.more.set(true);
        loop {
            match session.tls.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Ok(filled),
                Ok(read) => filled += read,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock && filled == 0 => return Err(error),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Ok(filled),
                Err(_) => match session.receive(&self.stream) {
                    Ok(()) => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.more.set(false);
                        return if filled > 0 { Ok(filled) } else { Err(error) };
                    }
                    Err(error) if filled == 0 => return Err(error),
                    Err(_) => return Ok(filled),
                },
            }
            if filled == buffer.len() {
                return Ok(filled);
            }
        }
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    /// Writes as much as the socket takes. What is told to be taken has left; whoever is told otherwise comes again with the same bytes.
    pub(crate) fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        if !session.flush(&self.stream)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let total = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut taken = session.owed.min(total);
        session.owed -= taken;
        while taken < total {
            let rest = skip(buffers, taken);
            let encrypted = session.tls.writer().write_vectored(&rest)?;
            if !session.flush(&self.stream)? {
                session.owed = encrypted;
                break;
            }
            taken += encrypted;
        }
        if taken > 0 || total == 0 { Ok(taken) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Says that nothing comes any more, as far as the socket takes it.
    pub(crate) fn notify_close(&self) {
        let mut session = self.session.borrow_mut();
        session.tls.send_close_notify();
        // Whoever is gone does not hear it.
        drop(session.flush(&self.stream));
    }
}

impl Drop for TlsSocket {
    fn drop(&mut self) {
        self.notify_close();
    }
}

impl Session {
    /// Takes what the socket has, a record or so.
    fn receive(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.tls.read_tls(&mut Wire(stream))?;
        let result =
            self.tls.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
        if self.tls.wants_write() {
            // Keys that change, or what was wrong. What does not leave now leaves before whatever is written next.
            self.flush(stream)?;
        }
        result.map(drop)
    }

    /// Sends what is encrypted; tells whether all of it has left.
    fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Wire(stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The socket as a session reads and writes it.
struct Wire<'a>(&'a TcpStream);

impl io::Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is left of buffers without their first `taken` bytes.
fn skip<'a>(buffers: &'a [IoSlice<'_>], mut taken: usize) -> Vec<IoSlice<'a>> {
    let rest = |buffer: &'a IoSlice<'_>| {
        let skipped = taken.min(buffer.len());
        taken -= skipped;
        &buffer[skipped..]
    };
    buffers.iter().map(rest).filter(|rest| !rest.is_empty()).map(IoSlice::new).collect()
}
