//! The built relay as a child process, and guests that speak to it over WebSocket.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod certificate;
pub mod http;
pub mod leased;
pub mod machine;
pub mod packet;
pub mod wisp;

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netloom_proto::websocket::{Decoder, Message, Opcode, Role, accept_key, put_frame};

/// How long anything that must happen may take; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MASK: [u8; 4] = [0xa5, 0x5a, 0x0f, 0xf0];

/// A running relay, killed when dropped.
pub struct Relay {
    child: Child,
    pub address: SocketAddr,
    pub banner: String,
    log: Arc<Mutex<String>>,
}

pub fn netloom() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netloom"));
    command.env_remove("RUST_LOG");
    command
}

impl Relay {
    /// Starts a relay on a free port and waits until it listens.
    pub fn start(flags: &[&str]) -> Self {
        Self::start_as(netloom(), flags)
    }

    /// Starts a relay by another command for the program.
    pub fn start_as(mut program: Command, flags: &[&str]) -> Self {
        program.args(["relay", "--listen", "127.0.0.1:0"]).args(flags);
        Self::start_command(program)
    }

    /// Starts what announces itself as a relay does.
    pub fn start_command(mut program: Command) -> Self {
        let mut child = program
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the relay starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().expect("its log"));
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = lines.lock().expect("the log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
        let mut banner = String::new();
        // The last line of the announcement is the one to paste for the last LAN.
        while stdout.read_line(&mut banner).is_ok_and(|read| read > 0) && !banner.contains("relay_url") {}
        let address = banner
            .lines()
            .find_map(|line| line.strip_prefix("listening on ws"))
            .and_then(|rest| rest.trim_start_matches('s').strip_prefix("://"))
            .and_then(|rest| rest.trim_end_matches('/').parse().ok());
        let Some(address) = address else {
            let log = log.lock().expect("the log").clone();
            panic!("the relay does not listen: {banner}{log}");
        };
        Self { child, address, banner, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Waits until the log contains `text`.
    pub fn wait_for_log(&self, text: &str) {
        wait_until(|| self.log().contains(text), || format!("`{text}` in the log:\n{}", self.log()));
    }

    /// Resident memory of its own, in bytes. The pages of the program are left out: an unoptimised one has more.
    pub fn rss_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        kib.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
    }

    /// Descriptors that it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("its descriptors").count()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a signal");
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("an exit status")
    }

    pub fn guest(&self) -> Guest {
        self.guest_on("/")
    }

    /// A guest that has a port: its pings are answered from there.
    pub fn guest_on(&self, path: &str) -> Guest {
        let mut guest =
            Guest::connect(self.address, path, &[]).unwrap_or_else(|answer| panic!("refused: {answer}"));
        guest.send_message(Opcode::Ping, b"joined?");
        while guest.pongs.is_empty() {
            assert!(guest.fill(), "the connection ended");
        }
        guest.pongs.clear();
        guest
    }

    /// One request; the whole answer as text.
    pub fn request(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("the relay listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Polls until `done`; panics with `what` if it takes too long.
pub fn wait_until(mut done: impl FnMut() -> bool, what: impl Fn() -> String) {
    let begin = std::time::Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "never came: {}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A guest's end of a WebSocket.
pub struct Guest<S = TcpStream> {
    pub stream: S,
    /// Lines of the answer to the upgrade.
    pub head: String,
    decoder: Decoder,
    frames: VecDeque<Vec<u8>>,
    pub pongs: Vec<Vec<u8>>,
    pub closed: Option<Option<u16>>,
}

impl Guest {
    /// Connects; an answer other than 101 comes back as text.
    pub fn connect(address: SocketAddr, path: &str, headers: &[&str]) -> Result<Self, String> {
        let stream = TcpStream::connect(address).expect("the relay listens");
        Self::over(stream, address, path, headers)
    }

    /// The same over a connection.
    pub fn over(
        stream: TcpStream,
        address: SocketAddr,
        path: &str,
        headers: &[&str],
    ) -> Result<Self, String> {
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self::upgrade(stream, address, path, headers)
    }
}

impl<S: Read + Write> Guest<S> {
    /// The same over any stream.
    pub fn upgrade(mut stream: S, address: SocketAddr, path: &str, headers: &[&str]) -> Result<Self, String> {
        let host = if headers.iter().any(|line| line.starts_with("Host:")) {
            String::new()
        } else {
            format!("Host: {address}\r\n")
        };
        let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                other => panic!("no answer: {other:?} after {}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).expect("text");
        if !head.starts_with("HTTP/1.1 101") {
            return Err(head);
        }
        assert!(
            head.to_ascii_lowercase()
                .contains(&format!("sec-websocket-accept: {}", accept_key(KEY).to_ascii_lowercase()))
        );
        let decoder = Decoder::new(Role::Client, 1 << 20);
        Ok(Self { stream, head, decoder, frames: VecDeque::new(), pongs: Vec::new(), closed: None })
    }

    pub fn send(&mut self, frame: &[u8]) {
        self.send_message(Opcode::Binary, frame);
    }

    pub fn send_message(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut out = Vec::new();
        put_frame(&mut out, opcode, payload, Some(MASK));
        self.stream.write_all(&out).expect("sent");
    }

    /// Many frames in one write.
    pub fn send_all(&mut self, frames: &[Vec<u8>]) {
        self.stream.write_all(&messages(frames)).expect("sent");
    }

    /// The next frame, `None` if the connection ended.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            if self.closed.is_some() || !self.fill() {
                return None;
            }
        }
    }

    /// The next frame that `wanted` accepts; others are passed over.
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        loop {
            match self.next() {
                Some(frame) if wanted(&frame) => return frame,
                Some(_) => {}
                None => panic!("the connection ended without {what}"),
            }
        }
    }

    /// The frames that are there, or come within the read timeout; `None` at the end of the connection.
    pub fn poll(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut buffer = vec![0; 1 << 16];
        match self.stream.read(&mut buffer) {
            Ok(read) if read > 0 => self.decode(&mut buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => return None,
        }
        self.closed.is_none().then(|| self.frames.drain(..).collect())
    }

    /// Reads once; false at the end of the connection.
    pub fn fill(&mut self) -> bool {
        let mut buffer = vec![0; 1 << 16];
        let read = match self.stream.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("nothing came: {error}"),
        };
        self.decode(&mut buffer[..read]);
        read > 0
    }

    fn decode(&mut self, bytes: &mut [u8]) {
        let Self { decoder, frames, pongs, closed, .. } = self;
        decoder
            .decode(bytes, |message| match message {
                Message::Binary(frame) => frames.push_back(frame.to_vec()),
                Message::Pong(payload) => pongs.push(payload.to_vec()),
                Message::Close(code) => *closed = Some(code),
                Message::Ping(_) | Message::Text | Message::TooLong => {}
            })
            .expect("the relay keeps the protocol");
    }
}

/// Frames as the bytes of masked messages.
pub fn messages(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        put_frame(&mut out, Opcode::Binary, frame, Some(MASK));
    }
    out
}
