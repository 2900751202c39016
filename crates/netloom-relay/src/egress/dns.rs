//! DNS queries of guests passed to the host's resolvers as they came (RFC 1035): by UDP from a fresh port and under a fresh identifier
//! (RFC 5452), by TCP if the answer was cut (RFC 7766), to the next server if one is silent or fails.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use netloom_core::service::dns::{addresses, question};
use netloom_core::{PortId, Query, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::spawn_local;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::any_for;
use super::refusals::Way;
use crate::lan::LanTask;
use crate::{random, zone};

/// How long a query may take over all servers.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// How long one server has before the next is asked.
const TRY_TIMEOUT: Duration = Duration::from_millis(1500);
/// Where the host names its resolvers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Servers that are asked at most, as in resolv.conf(5).
const MAX_SERVERS: usize = 3;
const PORT: u16 = 53;
const HEADER_BYTES: usize = 12;
const MAX_MESSAGE_BYTES: usize = 65_535;
const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;

/// The servers to ask.
pub(crate) struct Upstream {
    /// Configured; empty: the host's.
    fixed: Vec<SocketAddr>,
    /// The host's, with the time of the file they were read from.
    host: Mutex<(Option<SystemTime>, Vec<SocketAddr>)>,
    complained: AtomicBool,
}

impl Upstream {
    pub(crate) fn new(fixed: Vec<SocketAddr>) -> Self {
        Self { fixed, host: Mutex::default(), complained: AtomicBool::new(false) }
    }

    /// The servers now: those configured, else those of the host, read again when its file has changed.
    fn servers(&self) -> Vec<SocketAddr> {
        if !self.fixed.is_empty() {
            return self.fixed.clone();
        }
        let modified = std::fs::metadata(RESOLV_CONF).and_then(|meta| meta.modified()).ok();
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        if host.0 != modified || modified.is_none() {
            let text = std::fs::read(RESOLV_CONF).unwrap_or_default();
            *host = (modified, resolvers(&String::from_utf8_lossy(&text)));
        }
        if host.1.is_empty() && !self.complained.swap(true, Ordering::Relaxed) {
            warn!("no DNS server in {RESOLV_CONF}: name one with --dns IP");
        }
        host.1.clone()
    }

    /// The answer to a query, if there is one in time.
    pub(super) async fn ask(&self, query: &[u8]) -> Option<Vec<u8>> {
        timeout(TIMEOUT, ask_all(&self.servers(), query)).await.ok().flatten()
    }
}

/// The servers that a resolv.conf(5) names.
fn resolvers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let servers = lines.filter_map(|rest| rest.split_whitespace().next());
    servers.filter_map(|text| zone::parse(text, PORT)).take(MAX_SERVERS).collect()
}

/// Asks for a guest, and gives the machine the answer.
pub(crate) fn handle_query(lan: &Rc<LanTask>, query: Query) {
    let upstream = lan.egress.dialer.terms().resolver.upstream();
    let port = query.guest.port;
    let lan = Rc::clone(lan);
    spawn_local(async move {
        let answer = upstream.ask(&query.message).await;
        count_denied(&lan, port, answer.as_deref().unwrap_or_default());
        lan.machine.borrow_mut().handle_answer(lan.clock.now(), query.id, answer.as_deref());
        lan.drain();
    });
}

/// Counts the addresses of an answer that the machine keeps from its guest.
fn count_denied(lan: &LanTask, port: PortId, answer: &[u8]) {
    let Some(asked) = question(answer) else { return };
    let terms = lan.dialer(port).terms();
    for record in addresses(answer) {
        if let Verdict::Deny(rule) = terms.policy.check_answer(&asked.name, record.address) {
            let told = format_args!("{} for {}", record.address, asked.name);
            lan.egress.refusals.count(Way::Dns, &rule, &told);
        }
    }
}

/// Asks one server after the other, twice round. An answer that says the server failed is kept for want of a better.
async fn ask_all(servers: &[SocketAddr], query: &[u8]) -> Option<Vec<u8>> {
    let mut failed = None;
    for round in 0..2 {
        for server in servers {
            match ask(*server, query).await {
                Ok(answer) if matches!(rcode(&answer), SERVFAIL | REFUSED) => failed = Some(answer),
                Ok(answer) => return Some(answer),
                Err(error) => debug!("DNS server {server}: {error}"),
            }
        }
        if round == 0 && failed.is_some() {
            break;
        }
    }
    failed
}

async fn ask(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let (Some(own_id), true) = (query.first_chunk::<2>().copied(), query.len() >= HEADER_BYTES) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the query is too short"));
    };
    let mut sent = query.to_vec();
    sent[..2].copy_from_slice(&random::bytes::<2>()?);
    let mut answer = timeout(TRY_TIMEOUT, ask_udp(server, &sent)).await??;
    if is_cut(&answer) {
        match timeout(TRY_TIMEOUT, ask_tcp(server, &sent)).await {
            Ok(Ok(whole)) => answer = whole,
            Ok(Err(error)) => debug!("DNS server {server} by TCP: {error}"),
            Err(_) => debug!("DNS server {server} by TCP: no answer"),
        }
    }
    answer[..2].copy_from_slice(&own_id);
    Ok(answer)
}

async fn ask_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(any_for(server.ip())).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; MAX_MESSAGE_BYTES];
    loop {
        let read = socket.recv(&mut buffer).await?;
        if answers(query, &buffer[..read]) {
            buffer.truncate(read);
            buffer.shrink_to_fit();
            return Ok(buffer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(server).await?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(query);
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if answers(query, &answer) {
        Ok(answer)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not to the query"))
    }
}

/// Whether a message is a response with the query's identifier and question.
fn answers(query: &[u8], message: &[u8]) -> bool {
    let is_response = message.len() >= HEADER_BYTES && message[2] & 0x80 != 0 && message[..2] == query[..2];
    let Some(question) = question_bytes(query) else { return is_response };
    // A server that cannot parse the query may leave the question out (RFC 1035, format error).
    is_response
        && (message[4..6] == [0, 0] && message[3] & 0x0f != 0
            || message
                .get(HEADER_BYTES..HEADER_BYTES + question.len())
                .is_some_and(|q| q.eq_ignore_ascii_case(question)))
}

/// The bytes of the one question of a query.
fn question_bytes(query: &[u8]) -> Option<&[u8]> {
    if query.get(4..6)? != [0, 1] {
        return None;
    }
    let mut at = HEADER_BYTES;
    loop {
        match *query.get(at)? {
            0 => return query.get(HEADER_BYTES..at + 5),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

pub(super) fn rcode(message: &[u8]) -> u8 {
    message.get(3).map_or(SERVFAIL, |flags| flags & 0x0f)
}

fn is_cut(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
