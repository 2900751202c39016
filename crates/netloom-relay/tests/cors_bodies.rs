//! Long bodies through the CORS proxy, which pass within the kernel: whole, in order, and with an end.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use common::http::{Server, answer, ask, read};
use common::{PATIENCE, Relay, wait_until};

const FLAGS: [&str; 3] = ["--cors", "--allow", "127.0.0.0/8"];
const LONG_BYTES: usize = 8 << 20;

/// Bytes of which no two pieces of a pipe are the same.
fn noise(seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..LONG_BYTES).map(|_| next()).collect()
}

fn of_length(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Serves noise by its seed, and echoes what is posted.
fn web() -> Server {
    Server::start(|request| match request.path().trim_start_matches('/').parse() {
        Ok(seed) => of_length("200 OK", &noise(seed)),
        Err(_) if request.path() == "/short" => answer("200 OK", &[], "short"),
        Err(_) => of_length("200 OK", &request.body),
    })
}

#[test]
fn downloads_arrive_whole_one_after_the_other_on_one_connection() {
    let (web, relay) = (web(), Relay::start(&FLAGS));
    let mut stream = TcpStream::connect(relay.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // All are asked for before the first is answered.
    let paths = ["1", "2", "short", "3"];
    for path in paths {
        let request =
            format!("GET /http://{}/{path} HTTP/1.1\r\nHost: {}\r\n\r\n", web.address, relay.address);
        stream.write_all(request.as_bytes()).expect("sent");
    }
    let mut reader = BufReader::new(stream);
    for path in paths {
        let answer = read(&mut reader, true).expect("an answer");
        let expected = path.parse().map_or_else(|_| b"short".to_vec(), noise);
        assert!(answer.body == expected, "{path}: {} bytes", answer.body.len());
        assert_eq!(answer.header("content-length"), Some(expected.len().to_string().as_str()));
    }
}

#[test]
fn uploads_arrive_whole_and_come_back() {
    let (web, relay) = (web(), Relay::start(&FLAGS));
    let path = format!("/http://{}/echo", web.address);
    for seed in 1..4 {
        let sent = noise(seed);
        let answer = ask(relay.address, "POST", &path, &[], &sent);
        assert_eq!((answer.status(), answer.header("connection")), (200, Some("close")));
        assert!(answer.body == sent, "{seed}: {} bytes", answer.body.len());
        assert!(web.last().body == sent);
    }
}

#[test]
fn bodies_that_break_off_break_off_and_leave_nothing() {
    let half = Server::start(|_| {
        let mut answer = of_length("200 OK", &noise(1));
        answer.truncate(LONG_BYTES / 2);
        // What follows ends the connection.
        answer.extend_from_slice(b"\r\nX-Close");
        answer
    });
    let whole = web();
    let relay = Relay::start(&FLAGS);
    let begin = relay.descriptors();
    let ask = |method: &str, target: &Server, more: &str| {
        let mut stream = TcpStream::connect(relay.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let path = format!("http://{}/1", target.address);
        let head = format!("{method} /{path} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", relay.address);
        stream.write_all(head.as_bytes()).expect("sent");
        stream
    };
    for _ in 0..4 {
        let mut got = Vec::new();
        // The end may come as a reset.
        drop(ask("GET", &half, "").read_to_end(&mut got));
        assert!(got.len() < LONG_BYTES, "{} bytes", got.len());
        // The client reads a little and is gone.
        ask("GET", &whole, "").read_exact(&mut vec![0; 1 << 20]).expect("a part");
        let mut stream = ask("POST", &whole, &format!("Content-Length: {LONG_BYTES}\r\n"));
        stream.write_all(&vec![0; 1 << 20]).expect("sent");
    }
    wait_until(|| relay.descriptors() <= begin, || format!("{} descriptors of {begin}", relay.descriptors()));
}

#[test]
fn a_client_that_pauses_longer_than_a_target_may_be_silent_gets_the_rest() {
    // More than the buffers between relay and client take.
    let body = noise(1);
    let sent = of_length("200 OK", &body);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "[cors]\ntimeout_s = 1\n").expect("written");
    let config = file.path().to_str().expect("text");
    let relay = Relay::start(&["--config", config, "--allow", "127.0.0.0/8"]);
    let mut client = with_a_short_window(relay.address);
    let head = format!("GET /http://{address}/ HTTP/1.1\r\nHost: {}\r\n\r\n", relay.address);
    client.write_all(head.as_bytes()).expect("sent");

    let (mut target, _) = listener.accept().expect("a connection");
    target.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    read(&mut BufReader::new(target.try_clone().expect("the socket")), false).expect("a request");
    let mut writer = target.try_clone().expect("the socket");
    let writing = std::thread::spawn(move || writer.write_all(&sent));
    // The client reads nothing for three times as long as a target may be silent. If the relay hung up, the target would hear of it.
    target.set_read_timeout(Some(Duration::from_secs(3))).expect("a timeout");
    assert_eq!(target.read(&mut [0]).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));

    let answer = read(&mut BufReader::new(client), true).expect("an answer");
    assert!(answer.body == body, "{} bytes", answer.body.len());
    writing.join().expect("no panic").expect("sent");
}

/// A connection whose receiver takes little that is not read.
fn with_a_short_window(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("a size");
    socket.connect(&address.into()).expect("it listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}
