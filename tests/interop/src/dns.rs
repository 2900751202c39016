//! A DNS server of the test: it answers every A and AAAA question with one address and keeps the names it was asked.
//!
//! RFC 1035 section 4. Only what a resolver library checks is filled in.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::namespace::Namespace;

const HEADER_BYTES: usize = 12;

/// What a name stands for.
type Addresses = (Ipv4Addr, Ipv6Addr);

/// A running DNS server; it stops when dropped.
#[derive(Debug)]
pub struct DnsServer {
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl DnsServer {
    /// Serves inside `namespace` and answers every A and AAAA question from `answer`, every other with an empty NOERROR.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(namespace: &Namespace, address: SocketAddr, answer: Addresses) -> Result<Self> {
        let socket = namespace.bind_udp(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let listener = namespace.listen(address)?;
        listener.set_nonblocking(true)?;
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let over_udp = thread::spawn({
            let (asked, stop) = (asked.clone(), stop.clone());
            move || serve_udp(&socket, answer, &asked, &stop)
        });
        let over_tcp = thread::spawn({
            let (asked, stop) = (asked.clone(), stop.clone());
            move || serve_tcp(&listener, answer, &asked, &stop)
        });
        Ok(Self { asked, stop, threads: vec![over_udp, over_tcp] })
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
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("the DNS server panicked");
            }
        }
    }
}

fn serve_udp(socket: &UdpSocket, answer: Addresses, asked: &Mutex<Vec<String>>, stop: &AtomicBool) {
    let mut query = [0; 1500];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut query) else { continue };
        if let Some(reply) = reply(&query[..length], answer, asked)
            && socket.send_to(&reply, peer).is_err()
        {
            return;
        }
    }
}

fn serve_tcp(listener: &TcpListener, answer: Addresses, asked: &Mutex<Vec<String>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let waiting = &mut [PollFd::new(listener, PollFlags::IN)];
        let came = poll(waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 100_000_000 }));
        if came.is_ok_and(|ready| ready > 0)
            && let Ok((stream, _)) = listener.accept()
            && let Err(error) = answer_stream(stream, answer, asked)
        {
            eprintln!("DNS over TCP: {error}");
        }
    }
}

/// One query per connection, each message behind its length (RFC 1035 section 4.2.2).
fn answer_stream(mut stream: TcpStream, answer: Addresses, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query)?;
    let Some(reply) = reply(&query, answer, asked) else { return Ok(()) };
    stream.write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat())
}

fn reply(query: &[u8], answer: Addresses, asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
    let (name, question) = question(query)?;
    if let Ok(mut asked) = asked.lock() {
        asked.push(name);
    }
    let octets = match question {
        [.., 0, 1, 0, 1] => answer.0.octets().to_vec(),
        [.., 0, 28, 0, 1] => answer.1.octets().to_vec(),
        _ => Vec::new(),
    };
    // Response, recursion desired and available; one question, one answer or none.
    let answers = u8::from(!octets.is_empty());
    let mut reply = vec![query[0], query[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0];
    reply.extend_from_slice(question);
    if !octets.is_empty() {
        let [.., high, low, _, _] = *question else { return None };
        reply.extend_from_slice(&[
            0xc0,
            HEADER_BYTES as u8,
            high,
            low,
            0,
            1,
            0,
            0,
            0,
            60,
            0,
            octets.len() as u8,
        ]);
        reply.extend_from_slice(&octets);
    }
    Some(reply)
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
