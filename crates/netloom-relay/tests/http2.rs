//! HTTP/2 under TLS, as curl speaks it: the same gate, routes and bodies as by HTTP/1.1.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};

use common::Relay;
use common::http::{Server, answer};

/// A relay with a certificate of its own, and the CORS proxy.
fn start() -> (Relay, tempfile::TempDir) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&chain, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let files = [format!("--tls-cert={}", chain.display()), format!("--tls-key={}", key.display())];
    let relay = Relay::start(&["--cors", "--allow", "127.0.0.1", &files[0], &files[1]]);
    (relay, folder)
}

/// What curl is answered: version, status and body.
fn curl(relay: &Relay, path: &str, options: &[&str], body: &[u8]) -> (String, Vec<u8>) {
    let mut curl = Command::new("curl")
        .args([
            "--silent",
            "--insecure",
            "--noproxy",
            "*",
            "--http2",
            "--write-out",
            "%{stderr}%{http_version} %{http_code}",
        ])
        .args(options)
        .arg(format!("https://localhost:{}{path}", relay.address.port()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl is there");
    let mut stdin = curl.stdin.take().expect("its input");
    let body = body.to_vec();
    // A refusal may come before all is read.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let output = curl.wait_with_output().expect("its end");
    writing.join().expect("written");
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.stdout)
}

#[test]
fn the_gate_holds_as_by_version_1() {
    let (relay, _folder) = start();
    for (path, options, expected) in [
        ("/healthz", &[][..], "2 200"),
        ("/healthz", &["--http1.1"], "1.1 200"),
        ("/healthz", &["-H", "Host: evil.example"], "2 403"),
        ("/healthz", &["-H", "Origin: https://evil.example"], "2 403"),
        ("/healthz", &["-H", "Origin: null"], "2 403"),
        ("/dns-query?dns=AAABAAABAAAAAAAACWxvY2FsaG9zdAAAAQAB", &[], "2 200"),
        ("/absent", &[], "2 404"),
        ("/wisp/", &[], "2 426"),
        ("/cors/http://169.254.169.254/", &[], "2 403"),
        ("/cors/http://169.254.169.254/", &["-H", "Host: evil.example"], "2 403"),
    ] {
        assert_eq!(curl(&relay, path, options, b"").0, expected, "{path} {options:?}");
    }
}

#[test]
fn bodies_pass_both_ways() {
    let echo = Server::start(|request| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
        [head.as_bytes(), &request.body].concat()
    });
    let (relay, _folder) = start();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n >> 8) as u8 ^ n as u8).collect();
    let path = format!("/cors/http://{}/", echo.address);
    // Of known length, and as it comes.
    for options in [&["--data-binary", "@-"][..], &["--upload-file", "-"]] {
        let (said, got) = curl(&relay, &path, options, &sent);
        assert_eq!(said, "2 200");
        assert!(got == sent, "{options:?}: {} bytes", got.len());
        assert!(echo.last().body == sent);
    }
}

#[test]
fn redirects_name_the_host_of_the_url() {
    let server =
        Server::start(|_| answer("307 Temporary Redirect", &[("Location", "http://x.invalid/")], ""));
    let (relay, _folder) = start();
    let path = format!("/cors/http://{}/", server.address);
    let (said, got) = curl(&relay, &path, &["--include"], b"");
    assert_eq!(said, "2 307");
    let location = format!("location: https://localhost:{}/cors/http://x.invalid/", relay.address.port());
    let got = String::from_utf8_lossy(&got).into_owned();
    assert!(got.lines().any(|line| line == location), "{got}");
}
