use super::*;
use http::header::HOST;

fn ask(host: &str, path: &str, upgrade: bool, port: u16) -> Result<Answer, Refusal> {
    let request = Request::builder().uri(path).header(HOST, host);
    let request = if upgrade { request.header(UPGRADE, "websocket") } else { request };
    answer(
        &Gate::new(vec!["relay.example".to_owned()], Vec::new()),
        &request.body(()).expect("a request"),
        None,
        port,
    )
}

#[test]
fn requests_are_sent_on_and_websockets_told() {
    for (host, port, location) in [
        ("relay.example", 443, "https://relay.example/a?b=c"),
        ("relay.example:80", 8443, "https://relay.example:8443/a?b=c"),
        ("[::1]:80", 443, "https://[::1]/a?b=c"),
        ("[::1]", 8443, "https://[::1]:8443/a?b=c"),
    ] {
        let answer = ask(host, "/a?b=c", false, port).expect("ours");
        assert_eq!(answer.status(), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(answer.headers()[LOCATION], location);
    }
    let told = ask("relay.example", "/", true, 443).expect("ours");
    assert_eq!((told.status(), told.headers().contains_key(LOCATION)), (StatusCode::UPGRADE_REQUIRED, false));
    assert!(ask("evil.example", "/", false, 443).is_err());
}
