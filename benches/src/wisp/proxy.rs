//! The least that a TCP proxy could do, for one connection at a time. A process of its own, as the servers are, made by running this
//! program again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};

/// The argument that makes a program with [`serve`] in it the proxy; the target's port follows.
pub const ARGUMENT: &str = "--serve-proxy";
const BUFFER_BYTES: usize = 256 * 1024;

/// Is the proxy.
///
/// # Errors
/// When the socket cannot be had.
pub fn serve(target: u16) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (client, _) = listener.accept()?;
        let server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], target)))?;
        if let Err(error) = join(client, server) {
            eprintln!("{error}");
        }
    }
}

fn join(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let ready = {
            let mut fds =
                [client.as_fd(), server.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            poll(&mut fds, None)?;
            fds.map(|fd| !fd.revents().is_empty())
        };
        for (is_ready, [from, to]) in ready.into_iter().zip([[0, 1], [1, 0]]) {
            let ends = [&mut client, &mut server];
            if !is_ready {
                continue;
            }
            let length = (&*ends[from]).read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            (&*ends[to]).write_all(&buffer[..length])?;
        }
    }
}
