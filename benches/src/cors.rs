//! A web server and clients that cost little beside the proxies between them: threads, and HTTP/1.1 written by hand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

const CHUNK_BYTES: usize = 256 << 10;
const SMALL_BYTES: usize = 1024;

/// Starts the web server: `/small` has a kibibyte, `/N` has N bytes, and a POST is read to its end.
///
/// # Errors
/// If there is no port.
pub fn serve() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || while_connected(stream));
        }
    });
    Ok(address)
}

/// A proxy that went away has ended the connection.
fn while_connected(stream: TcpStream) {
    drop(answer_all(stream));
}

fn answer_all(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, stream);
    let chunk = vec![b'x'; CHUNK_BYTES];
    while let Some(head) = Head::read(&mut reader)? {
        skip(&mut reader, head.length)?;
        let path = head.line.split(' ').nth(1).unwrap_or_default();
        // Without a proxy the whole address comes here.
        let length = match path.rsplit('/').next() {
            Some("small") => SMALL_BYTES as u64,
            number => number.and_then(|number| number.parse().ok()).unwrap_or(0),
        };
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n")
                .into_bytes();
        let mut left = length;
        let first = left.min(CHUNK_BYTES as u64) as usize;
        answer.extend_from_slice(&chunk[..first]);
        writer.write_all(&answer)?;
        left -= first as u64;
        while left > 0 {
            let next = left.min(CHUNK_BYTES as u64) as usize;
            writer.write_all(&chunk[..next])?;
            left -= next as u64;
        }
        if head.closes {
            break;
        }
    }
    Ok(())
}

struct Head {
    line: String,
    length: u64,
    closes: bool,
    is_chunked: bool,
}

impl Head {
    fn read(reader: &mut BufReader<TcpStream>) -> Result<Option<Self>> {
        let mut head = Self { line: String::new(), length: 0, closes: false, is_chunked: false };
        if reader.read_line(&mut head.line)? == 0 {
            return Ok(None);
        }
        let mut line = String::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let lower = line.trim_end().to_ascii_lowercase();
            match lower.split_once(": ") {
                Some(("content-length", length)) => head.length = length.parse()?,
                Some(("connection", value)) => head.closes = value == "close",
                Some(("transfer-encoding", "chunked")) => head.is_chunked = true,
                Some(_) => {}
                None => return Ok(Some(head)),
            }
        }
    }
}

fn skip(reader: &mut BufReader<TcpStream>, bytes: u64) -> Result<()> {
    let mut left = bytes;
    while left > 0 {
        let buffered = reader.fill_buf()?.len() as u64;
        if buffered == 0 {
            bail!("the connection ended {left} bytes early");
        }
        let taken = buffered.min(left);
        reader.consume(taken as usize);
        left -= taken;
    }
    Ok(())
}

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Ask for a kibibyte, over and over.
    Small,
    /// Fetch this many bytes, over and over.
    Download(u64),
    /// Post this many bytes, over and over.
    Upload(u64),
}

/// What was done, and in which time.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Requests answered.
    pub requests: u64,
    /// Bytes of bodies that were moved.
    pub bytes: u64,
    /// How long it took.
    pub time: Duration,
}

/// Has clients work through a proxy for a while, each on a connection of its own; through none if `proxy` is `web`.
///
/// # Errors
/// The first that went wrong.
pub fn load(proxy: SocketAddr, web: SocketAddr, work: Work, clients: usize, time: Duration) -> Result<Done> {
    let (requests, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let begin = Instant::now();
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let one = || {
            scope.spawn(|| {
                let mut client = Client::connect(proxy)?;
                while begin.elapsed() < time {
                    bytes.fetch_add(client.ask(proxy, web, work)?, Ordering::Relaxed);
                    requests.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        let threads: Vec<_> = (0..clients).map(|_| one()).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a client panicked")))
            .collect()
    });
    results.into_iter().collect::<Result<()>>()?;
    Ok(Done { requests: requests.into_inner(), bytes: bytes.into_inner(), time: begin.elapsed() })
}

struct Client {
    reader: BufReader<TcpStream>,
    chunk: Vec<u8>,
}

impl Client {
    fn connect(proxy: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(proxy).context("the proxy does not listen")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { reader: BufReader::with_capacity(CHUNK_BYTES, stream), chunk: vec![b'x'; CHUNK_BYTES] })
    }

    /// Asks once: bytes moved.
    fn ask(&mut self, proxy: SocketAddr, web: SocketAddr, work: Work) -> Result<u64> {
        let (method, path, upload) = match work {
            Work::Small => ("GET", "small".to_owned(), 0),
            Work::Download(bytes) => ("GET", bytes.to_string(), 0),
            Work::Upload(bytes) => ("POST", "0".to_owned(), bytes),
        };
        let head = format!(
            "{method} /http://{web}/{path} HTTP/1.1\r\nHost: {proxy}\r\nOrigin: https://page.example\r\nContent-Length: {upload}\r\n\r\n"
        );
        self.reader.get_mut().write_all(head.as_bytes())?;
        let mut left = upload;
        while left > 0 {
            let next = left.min(CHUNK_BYTES as u64) as usize;
            self.reader.get_mut().write_all(&self.chunk[..next])?;
            left -= next as u64;
        }
        let head = Head::read(&mut self.reader)?.context("the proxy ended the connection")?;
        if !head.line.contains(" 200 ") {
            bail!("the proxy says {}", head.line.trim_end());
        }
        let length = if head.is_chunked { self.skip_chunks()? } else { head.length };
        if !head.is_chunked {
            skip(&mut self.reader, length)?;
        }
        if head.closes {
            *self = Self::connect(proxy)?;
        }
        Ok(upload + length)
    }

    fn skip_chunks(&mut self) -> Result<u64> {
        let mut total = 0;
        let mut line = String::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim(), 16).context("a chunk's length")?;
            skip(&mut self.reader, length)?;
            self.reader.read_exact(&mut [0; 2])?;
            total += length;
            if length == 0 {
                return Ok(total);
            }
        }
    }
}
