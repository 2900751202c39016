//! Going out by another proxy: SOCKS5 (RFC 1928, with name and password by RFC 1929) or HTTP's CONNECT (RFC 9110 section 9.3.6).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::error::DialError;
use super::target::{Host, Target};

/// Largest head of an answer to CONNECT, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A proxy that all TCP goes out by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    pub(crate) kind: Kind,
    /// The proxy's own host and port.
    pub(crate) server: Target,
    pub(crate) user: Option<(String, String)>,
}

/// How the proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SOCKS5, with names resolved here.
    Socks5,
    /// SOCKS5, with names resolved by the proxy.
    Socks5h,
    /// HTTP CONNECT, with names resolved by the proxy.
    Http,
}

impl Proxy {
    /// Whether names go to the proxy as they are.
    pub(super) fn resolves_names(&self) -> bool {
        self.kind != Kind::Socks5
    }

    /// Has the proxy at the other end of `stream` connect to `host`.
    pub(super) async fn connect(
        &self,
        stream: &mut TcpStream,
        host: &Host,
        port: u16,
    ) -> Result<(), DialError> {
        match self.kind {
            Kind::Socks5 | Kind::Socks5h => self.socks(stream, host, port).await,
            Kind::Http => self.http(stream, host, port).await,
        }
    }

    async fn socks(&self, stream: &mut TcpStream, host: &Host, port: u16) -> Result<(), DialError> {
        const VERSION: u8 = 5;
        const NO_AUTHENTICATION: u8 = 0;
        const PASSWORD: u8 = 2;
        let methods: &[u8] =
            if self.user.is_some() { &[NO_AUTHENTICATION, PASSWORD] } else { &[NO_AUTHENTICATION] };
        stream.write_all(&[&[VERSION, methods.len() as u8], methods].concat()).await.map_err(proxy)?;
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await.map_err(proxy)?;
        match (chosen, &self.user) {
            ([VERSION, NO_AUTHENTICATION], _) => {}
            ([VERSION, PASSWORD], Some((user, password))) => {
                // Checked to fit when they were configured.
                let mut message = vec![1, user.len() as u8];
                message.extend_from_slice(user.as_bytes());
                message.push(password.len() as u8);
                message.extend_from_slice(password.as_bytes());
                stream.write_all(&message).await.map_err(proxy)?;
                let mut status = [0; 2];
                stream.read_exact(&mut status).await.map_err(proxy)?;
                if status[1] != 0 {
                    return Err(refused("it does not take the user name and password"));
                }
            }
            ([VERSION, _], _) => return Err(refused("it asks for another way to authenticate")),
            _ => return Err(refused("it does not speak SOCKS5")),
        }
        let mut request = vec![VERSION, 1, 0];
        match host {
            Host::Address(IpAddr::V4(v4), _) => request.extend([&[1][..], &v4.octets()].concat()),
            Host::Address(IpAddr::V6(v6), _) => request.extend([&[4][..], &v6.octets()].concat()),
            // A name has at most 253 bytes.
            Host::Name(name) => request.extend([&[3, name.len() as u8][..], name.as_bytes()].concat()),
        }
        request.extend(port.to_be_bytes());
        stream.write_all(&request).await.map_err(proxy)?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.map_err(proxy)?;
        let bound = match answer {
            [VERSION, 0, _, 1] => 4,
            [VERSION, 0, _, 4] => 16,
            [VERSION, 0, _, 3] => usize::from(stream.read_u8().await.map_err(proxy)?),
            [VERSION, code, ..] => return Err(socks_error(code)),
            _ => return Err(refused("it does not speak SOCKS5")),
        };
        let mut rest = [0; 255 + 2];
        stream.read_exact(&mut rest[..bound + 2]).await.map_err(proxy)?;
        Ok(())
    }

    async fn http(&self, stream: &mut TcpStream, host: &Host, port: u16) -> Result<(), DialError> {
        let authority = match host {
            Host::Address(address, _) => SocketAddr::new(*address, port).to_string(),
            Host::Name(name) => format!("{name}:{port}"),
        };
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some((user, password)) = &self.user {
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            request += &format!("Proxy-Authorization: Basic {credentials}\r\n");
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await.map_err(proxy)?;
        // Byte by byte: what follows the head is the target's.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= MAX_HEAD_BYTES {
                return Err(refused("the head of its answer is too long"));
            }
            head.push(stream.read_u8().await.map_err(proxy)?);
        }
        let status =
            head.split(|byte| *byte == b' ').nth(1).and_then(|status| std::str::from_utf8(status).ok());
        match status.filter(|_| head.starts_with(b"HTTP/1.")) {
            Some(ok) if ok.len() == 3 && ok.starts_with('2') => Ok(()),
            Some("403" | "405") => Err(refused("it forbids the connection")),
            Some("407") => Err(refused("it does not take the user name and password")),
            Some("504") => Err(DialError::Timeout),
            Some("502" | "503") => Err(refused("it does not reach the target")),
            _ => Err(refused("it does not answer CONNECT")),
        }
    }
}

/// What a SOCKS5 proxy says of a connection that it did not make (RFC 1928 section 6).
fn socks_error(code: u8) -> DialError {
    match code {
        2 => refused("it forbids the connection"),
        3 => DialError::Unreachable(io::ErrorKind::NetworkUnreachable.into()),
        4 => DialError::Unreachable(io::ErrorKind::HostUnreachable.into()),
        5 => DialError::Refused,
        6 => DialError::Timeout,
        8 => refused("it does not take this form of address"),
        _ => refused("it failed"),
    }
}

fn proxy(error: io::Error) -> DialError {
    DialError::Proxy(error.to_string())
}

fn refused(why: &str) -> DialError {
    DialError::Proxy(why.to_owned())
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Socks5 => "socks5",
            Kind::Socks5h => "socks5h",
            Kind::Http => "http",
        };
        write!(f, "{scheme}://")?;
        if let Some((user, password)) = &self.user {
            write!(f, "{}:{}@", percent_encode(user), percent_encode(password))?;
        }
        self.server.fmt(f)
    }
}

fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Reads `socks5://`, `socks5h://` or `http://`, then `[USER:PASSWORD@]HOST:PORT`; the error is what to write instead.
pub(crate) fn parse(text: &str) -> Result<Proxy, String> {
    let form = "write socks5://HOST:PORT, socks5h://HOST:PORT or http://HOST:PORT, with USER:PASSWORD@ before the host if it asks";
    let wrong = |what: &str| format!("{what}; {form}");
    // Nothing of the text is repeated: it may hold a password.
    let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("this is no URL of a proxy"))?;
    let (kind, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "socks5" => (Kind::Socks5, 1080),
        "socks5h" => (Kind::Socks5h, 1080),
        "http" => (Kind::Http, 3128),
        _ => return Err(wrong("proxies are spoken to by SOCKS5 and HTTP")),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, server) = match rest.rsplit_once('@') {
        Some((user, server)) => {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            let decode = |part: &str| percent_decode(part).filter(|part| part.len() <= 255);
            let decoded = decode(user).filter(|user| !user.is_empty()).zip(decode(password));
            (
                Some(decoded.ok_or_else(|| {
                    wrong("the user name or password has more than 255 bytes or is badly encoded")
                })?),
                server,
            )
        }
        None => (None, rest),
    };
    let bracketed_alone = server.ends_with(']');
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !bracketed_alone => {
            (host, port.parse().map_err(|_| wrong("the port is not a number from 1 to 65535"))?)
        }
        _ => (server, default_port),
    };
    let server =
        Target::parse(host.as_bytes(), port).map_err(|_| wrong("the proxy's host is no name or address"))?;
    Ok(Proxy { kind, server, user })
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            (digit(rest.next())? * 16 + digit(rest.next())?) as u8
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
