//! A DNS server of the test: it answers every A question with one address and keeps the names it was asked.
//!
//! RFC 1035 section 4. Only what a resolver library checks is filled in.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::namespace::Namespace;

const HEADER_BYTES: usize = 12;

/// A running DNS server; it stops when dropped.
#[derive(Debug)]
pub struct DnsServer {
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DnsServer {
    /// Serves inside `namespace` and answers every A question with `answer`, every other with an empty NOERROR.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(namespace: &Namespace, address: SocketAddr, answer: Ipv4Addr) -> Result<Self> {
        let socket = namespace.bind_udp(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (asked, stop) = (asked.clone(), stop.clone());
            move || serve(&socket, answer, &asked, &stop)
        });
        Ok(Self { asked, stop, thread: Some(thread) })
    }

    /// The names asked so far, in order.
    ///
    /// # Errors
    /// When the server's thread has panicked.
    pub fn asked(&self) -> Result<Vec<String>> {
        Ok(self.asked.lock().map_err(|_| anyhow!("the DNS server panicked"))?.clone())
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the DNS server panicked");
        }
    }
}

fn serve(socket: &UdpSocket, answer: Ipv4Addr, asked: &Mutex<Vec<String>>, stop: &AtomicBool) {
    let mut query = [0; 1500];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut query) else { continue };
        let Some((name, question)) = question(&query[..length]) else { continue };
        if let Ok(mut asked) = asked.lock() {
            asked.push(name);
        }
        let is_a = question.ends_with(&[0, 1, 0, 1]);
        // Response, recursion desired and available; one question, one answer or none.
        let mut reply = vec![query[0], query[1], 0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0];
        reply.extend_from_slice(question);
        if is_a {
            reply.extend_from_slice(&[0xc0, HEADER_BYTES as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            reply.extend_from_slice(&answer.octets());
        }
        if socket.send_to(&reply, peer).is_err() {
            return;
        }
    }
}

/// The name in lower case, and the question as it stands in the message.
fn question(message: &[u8]) -> Option<(String, &[u8])> {
    let mut at = HEADER_BYTES;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        let label = message.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
    Some((labels.join("."), message.get(HEADER_BYTES..at + 4)?))
}
