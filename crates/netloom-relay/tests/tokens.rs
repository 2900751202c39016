//! Tokens: on every endpoint, revoked while clients are connected, with rules of their own, and shown nowhere.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::PathBuf;

use common::http::{Message, Server, answer, ask};
use common::{Guest, Relay, netloom};

/// A tokens file.
struct Tokens {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Tokens {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.toml");
        Self { _folder: folder, path }
    }

    /// Runs `netloom token`; what it prints, if it went well.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = netloom().arg("token").args(arguments).arg("--tokens").arg(&self.path).output();
        let output = output.expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn create(&self, arguments: &[&str]) -> String {
        let said = self.run(&[&["create"], arguments].concat()).expect("made");
        said.strip_suffix('\n').expect("one line").to_owned()
    }

    fn relay(&self, flags: &[&str]) -> Relay {
        let path = self.path.display().to_string();
        Relay::start(&[&["--tokens", &path, "--log", "trace"], flags].concat())
    }
}

fn get(relay: &Relay, path: &str, headers: &[(&str, &str)]) -> Message {
    ask(relay.address, "GET", path, headers, &[])
}

fn status(refused: Result<Guest, String>) -> String {
    match refused {
        Ok(_) => "101".to_owned(),
        Err(head) => head.split(' ').nth(1).expect("a status").to_owned(),
    }
}

#[test]
fn every_endpoint_asks_for_one() {
    let tokens = Tokens::new();
    let token = tokens.create(&["alice"]);
    let revoked = tokens.create(&["bob"]);
    tokens.run(&["revoke", "bob"]).expect("revoked");
    let target = Server::start(|_| answer("200 OK", &[], "here"));
    let allow = format!("--allow={}", target.address);
    let relay = tokens.relay(&["--cors", &allow, "--lan=lab=10.9.0.0/24"]);
    let wrong = "nlt_".to_owned() + &"x".repeat(43);
    let plain = format!("/wisp/{}", target.address);
    for path in ["/", "/any/path", "/lan/lab", "/qemu", "/wisp/", plain.as_str()] {
        let of = |headers: &[&str], path: &str| status(Guest::connect(relay.address, path, headers));
        assert_eq!(of(&[], path), "401", "{path}");
        assert_eq!(of(&[], &format!("/t/{token}{path}")), "101", "{path}");
        assert_eq!(of(&[], &format!("{path}?token={token}")), "101", "{path}");
        assert_eq!(of(&[&format!("Authorization: Bearer {token}")], path), "101", "{path}");
        for bad in [&wrong, &revoked] {
            assert_eq!(of(&[], &format!("/t/{bad}{path}")), "401", "{path}");
            assert_eq!(of(&[], &format!("{path}?token={bad}")), "401", "{path}");
            assert_eq!(of(&[&format!("Authorization: Bearer {bad}")], path), "401", "{path}");
        }
    }
    let url = format!("/cors/http://{}/", target.address);
    let encoded = format!("/?url=http%3A%2F%2F{}%2F", target.address);
    let dns = "/dns-query?dns=AAABAAABAAAAAAAACWxvY2FsaG9zdAAAAQAB";
    for path in [url.as_str(), encoded.as_str(), dns, "/lan/lab", "/wisp/", "/nothing"] {
        let refused = get(&relay, path, &[]);
        assert_eq!(refused.status(), 401, "{path}");
        assert!(refused.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")), "{path}");
        for bad in [&wrong, &revoked] {
            assert_eq!(get(&relay, &format!("/t/{bad}{path}"), &[]).status(), 401, "{path}");
        }
        assert_ne!(get(&relay, &format!("/t/{token}{path}"), &[]).status(), 401, "{path}");
        let bearer = format!("Bearer {token}");
        assert_ne!(get(&relay, path, &[("Authorization", &bearer)]).status(), 401, "{path}");
    }
    for path in ["/", "/healthz"] {
        assert_eq!(get(&relay, path, &[]).status(), 200, "{path}");
    }
    // Browsers ask beforehand without credentials.
    let preflight = [("Origin", "http://localhost"), ("Access-Control-Request-Method", "GET")];
    assert_eq!(ask(relay.address, "OPTIONS", &url, &preflight, &[]).status(), 200);
    assert_eq!(get(&relay, &format!("/t/{token}{url}"), &[]).text(), "here");
}

#[test]
fn a_token_is_shown_to_nobody() {
    let tokens = Tokens::new();
    let token = tokens.create(&["alice"]);
    let target = Server::start(|request| match request.path() {
        path if path.starts_with("/moved") => {
            answer("302 Found", &[("Location", "/here"), ("Referrer-Policy", "unsafe-url")], "")
        }
        _ => answer("200 OK", &[("Referrer-Policy", "unsafe-url")], "here"),
    });
    let allow = format!("--allow={}", target.address);
    let relay = tokens.relay(&["--cors", "--cors-max-redirects=0", &allow]);
    let base = format!("/t/{token}/cors/http://{}", target.address);
    let referer = format!("http://{}{base}/", relay.address);
    let bearer = format!("Bearer {token}");
    let given = [("Referer", referer.as_str()), ("Authorization", bearer.as_str())];
    let moved = get(&relay, &format!("{base}/moved?a=b&token={token}"), &given);
    // Where it leads is below the token too.
    let location = moved.header("location").expect("a redirect").to_owned();
    assert_eq!(location, format!("http://{}{base}/here", relay.address));
    let here = get(&relay, &format!("{base}/here"), &given);
    assert_eq!((here.text().as_str(), here.all("referrer-policy")), ("here", vec!["no-referrer"]));
    let mut guest = Guest::connect(relay.address, &format!("/t/{token}/"), &[]).expect("let in");
    guest.send(&[0; 64]);
    let seen = format!("{:?}", target.seen());
    assert!(seen.contains("GET /moved?a=b HTTP/1.1"), "{seen}");
    assert!(!seen.contains(&token), "{seen}");
    relay.wait_for_log("joined LAN default");
    assert!(!relay.log().contains(&token) && !relay.banner.contains(&token), "{}", relay.log());
    let file = std::fs::read_to_string(&tokens.path).expect("the file");
    assert!(!file.contains(&token) && !tokens.run(&["list"]).expect("listed").contains(&token));
}

#[test]
fn a_revoked_tokens_clients_are_closed_and_others_stay() {
    let tokens = Tokens::new();
    let (alice, bob) = (tokens.create(&["alice"]), tokens.create(&["bob"]));
    let relay = tokens.relay(&[]);
    let mut gone = Guest::connect(relay.address, &format!("/t/{alice}/"), &[]).expect("let in");
    let mut wisp = Guest::connect(relay.address, &format!("/t/{alice}/wisp/"), &[]).expect("let in");
    let mut stays = Guest::connect(relay.address, &format!("/t/{bob}/"), &[]).expect("let in");
    tokens.run(&["revoke", "alice"]).expect("revoked");
    for client in [&mut gone, &mut wisp] {
        while client.closed.is_none() {
            assert!(client.fill(), "it ends without a close");
        }
        assert_eq!(client.closed, Some(Some(1008)));
    }
    stays.send_message(netloom_proto::websocket::Opcode::Ping, b"still here?");
    while stays.pongs.is_empty() {
        assert!(stays.fill(), "closed too");
    }
    assert_eq!(status(Guest::connect(relay.address, &format!("/t/{alice}/"), &[])), "401");
    // A token that is made while the relay runs is good at once.
    let carol = tokens.create(&["carol"]);
    assert_eq!(status(Guest::connect(relay.address, &format!("/t/{carol}/"), &[])), "101");
}

#[test]
fn a_token_leads_to_its_lans_alone() {
    let tokens = Tokens::new();
    let token = tokens.create(&["alice", "--lan", "lab"]);
    let relay = tokens.relay(&["--lan=lab=10.9.0.0/24"]);
    let of = |path: &str| status(Guest::connect(relay.address, &format!("/t/{token}{path}"), &[]));
    assert_eq!([of("/lan/lab"), of("/"), of("/lan/default"), of("/lan/none")], ["101", "101", "403", "403"]);
    relay.wait_for_log("joined LAN lab");
    assert!(!relay.log().contains("joined LAN default"));
}

#[test]
fn a_tokens_rules_hold_on_streams() {
    let tokens = Tokens::new();
    let target = Server::start(|_| answer("200 OK", &[], "here"));
    let allow = format!("{}", target.address);
    let open = tokens.create(&["open", "--allow", &allow]);
    let shut = tokens.create(&["shut"]);
    let relay = tokens.relay(&["--cors"]);
    let fetch = |token: &str| get(&relay, &format!("/t/{token}/cors/http://{}/", target.address), &[]);
    for _ in 0..2 {
        assert_eq!(fetch(&open).text(), "here");
        // Not over the connection that the other token's client keeps.
        assert_eq!(fetch(&shut).status(), 403, "{}", fetch(&shut).text());
    }
    assert_eq!(target.seen().len(), 2);
}

#[test]
fn browsers_keep_a_token_for_a_guests_name() {
    let tokens = Tokens::new();
    let token = tokens.create(&["alice"]);
    let other = tokens.create(&["bob", "--lan", "lab"]);
    let relay = tokens.relay(&["--lan=lab=10.9.0.0/24"]);
    let host = format!("first.localhost:{}", relay.address.port());
    let get_from = |path: &str, cookie: &str, origin: &str| {
        let cookie = format!("a=b; netloom-token={cookie}");
        get(&relay, path, &[("Host", &host), ("Cookie", &cookie), ("Origin", origin)])
    };
    let get = |path: &str, cookie: &str| get_from(path, cookie, &format!("http://{host}"));
    assert_eq!(get("/page", "none").status(), 401);
    let kept = get(&format!("/t/{token}/page?a"), "none");
    assert_eq!((kept.status(), kept.header("location")), (303, Some("/page?a")));
    let cookie = kept.header("set-cookie").expect("a cookie");
    assert!(
        cookie.starts_with(&format!("netloom-token={token}; ")) && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    // The gate comes behind it.
    assert!(get_from("/page", &token, "http://evil.example").text().contains("evil.example"));
    assert_eq!(get("/page", &other).status(), 403);
    // A cookie is for guests' names alone: other pages of this host cannot make the browser use it elsewhere.
    let elsewhere =
        ask(relay.address, "GET", "/nothing", &[("Cookie", &format!("netloom-token={token}"))], &[]);
    assert_eq!(elsewhere.status(), 401);
}

#[test]
fn mistakes_are_told_with_the_fix() {
    let tokens = Tokens::new();
    let path = tokens.path.display().to_string();
    let output = netloom().args(["relay", "--listen=0", "--tokens", &path]).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("netloom token create"), "{said}");
    for (arguments, part) in [
        (&["revoke", "alice"][..], "netloom token create"),
        (&["create", "a b"], "cannot name a token"),
        (&["create", "a", "--allow", "nowhere/99"], "--allow"),
        (&["create", "a", "--limit", "speed=1"], "no limit `speed`"),
        (&["create"], "(see `netloom token create --help`)"),
    ] {
        let said = tokens.run(arguments).expect_err("refused");
        assert!(said.contains(part) && said.lines().count() == 1, "{arguments:?}: {said}");
    }
}
