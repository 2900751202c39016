//! HTTP/1.1 for tests: a server whose answers a function writes, and a client of one request.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::PATIENCE;

/// What a server was asked, or a client was answered.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The first line.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The path of a request.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads a message; `None` at the end of the connection.
pub fn read(reader: &mut BufReader<TcpStream>, has_body: bool) -> Option<Message> {
    let mut message = Message { line: line(reader)?, ..Message::default() };
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        message.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if message.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) && has_body {
        loop {
            let length = usize::from_str_radix(line(reader)?.trim(), 16).ok()?;
            let start = message.body.len();
            message.body.resize(start + length, 0);
            reader.read_exact(&mut message.body[start..]).ok()?;
            line(reader)?;
            if length == 0 {
                break;
            }
        }
    } else if let Some(length) = message.header("content-length").and_then(|text| text.parse().ok())
        && has_body
    {
        message.body.resize(length, 0);
        reader.read_exact(&mut message.body).ok()?;
    } else if message.line.starts_with("HTTP/") && has_body && !matches!(message.status(), 204 | 304) {
        reader.read_to_end(&mut message.body).ok()?;
    }
    Some(message)
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A server on a free port of the loopback.
pub struct Server {
    pub address: SocketAddr,
    pub requests: Arc<Mutex<Vec<Message>>>,
}

impl Server {
    /// Answers each request by what `answer` writes, in connections that stay.
    pub fn start(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let (answer, requests) = (Arc::new(answer), Arc::<Mutex<Vec<Message>>>::default());
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let mut writer = stream.try_clone().expect("the socket");
                    let mut reader = BufReader::new(stream);
                    while let Some(request) = read(&mut reader, true) {
                        let answer = answer(&request);
                        seen.lock().expect("the requests").push(request);
                        if writer.write_all(&answer).is_err() {
                            return;
                        }
                        if !answer.starts_with(b"HTTP/1.1 ")
                            || answer.windows(9).any(|it| it == b"\r\nX-Close")
                        {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    pub fn seen(&self) -> Vec<Message> {
        self.requests.lock().expect("the requests").clone()
    }

    pub fn last(&self) -> Message {
        self.seen().pop().expect("a request came")
    }
}

/// An answer with its length.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Asks once. `headers` that name no `Host` get one. What an answer waits for may wait for a machine that has much else to do.
pub fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Message {
    let mut stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(3 * PATIENCE)).expect("a timeout");
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head += &format!("Host: {to}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
    // An answer may come before the body is read.
    let sent = stream.write_all(body);
    let answer = read(&mut BufReader::new(stream), method != "HEAD");
    answer.unwrap_or_else(|| panic!("no answer to {method} {path}: {sent:?}"))
}
