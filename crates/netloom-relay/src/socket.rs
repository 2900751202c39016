//! Reading a socket without asking it a second time whether it is empty.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads once, as [`TcpStream::try_read`] does. A read that does not fill the buffer has emptied the socket, so the next read need not
/// be tried: the socket is waited for as if a read had found nothing.
pub(crate) fn read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = None;
    let result = stream.try_io(Interest::READABLE, || {
        let length = rustix::io::read(stream, &mut *buffer)?;
        read = Some(length);
        // The end of the stream stays readable.
        if (1..buffer.len()).contains(&length) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match read {
        Some(length) => Ok(length),
        None => result.map(|()| 0),
    }
}
