//! The simulator's programs over sockets: what both ends send, they check byte by byte.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use netloom_sim::app::pattern;
use netloom_sim::{Plan, Role};

const CHUNK_BYTES: u64 = 64 * 1024;
/// How long a connection may stand still: several retransmission timeouts in a row on a bad link.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs one end's side of a plan to the end of both directions.
///
/// # Errors
/// When the connection breaks or stands still, or a byte is wrong, missing or too much.
pub fn run(stream: TcpStream, plan: Plan, role: Role) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (from, sends, expects) = match role {
        Role::Client => (Role::Server, plan.up_bytes, plan.down_bytes),
        Role::Server => (Role::Client, plan.down_bytes, plan.up_bytes),
    };
    let mut reader = stream.try_clone()?;
    if plan.half_close && role == Role::Server {
        receive(&mut reader, from, expects)?;
        return send(stream, role, sends);
    }
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(stream, role, sends));
        let received = receive(&mut reader, from, expects);
        let sent = sending.join().unwrap_or_else(|_| bail!("the sender panicked"));
        received.and(sent)
    })
}

fn send(mut stream: TcpStream, role: Role, length: u64) -> Result<()> {
    let mut sent = 0;
    while sent < length {
        let n = CHUNK_BYTES.min(length - sent);
        stream
            .write_all(&pattern(role, sent, n as usize))
            .with_context(|| format!("{role:?} at byte {sent}"))?;
        sent += n;
    }
    Ok(stream.shutdown(Shutdown::Write)?)
}

fn receive(stream: &mut TcpStream, from: Role, length: u64) -> Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    let mut received = 0;
    loop {
        let n = stream.read(&mut buffer).with_context(|| format!("byte {received} of the {from:?}"))?;
        if n == 0 {
            ensure!(received == length, "the {from:?} closed after {received} of {length} bytes");
            return Ok(());
        }
        ensure!(
            buffer[..n] == pattern(from, received, n),
            "the bytes of the {from:?} from {received} on are wrong"
        );
        received += n as u64;
    }
}
