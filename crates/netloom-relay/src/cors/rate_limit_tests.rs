use super::*;

fn limiter(text: &str) -> Limiter {
    Limiter::new(text.parse().expect("a limit"))
}

#[test]
fn each_host_has_its_count_and_a_new_period_begins_anew() {
    let limiter = limiter("2 1");
    let now = Instant::now();
    for origin in ["https://a.example", "http://a.example"] {
        assert_eq!(limiter.count(origin, now), Ok(()));
    }
    let said = limiter.count("https://a.example", now).expect_err("the third");
    assert!(
        said.starts_with("The number of requests is limited to 2 per minute. Please self-host"),
        "{said}"
    );
    assert_eq!(limiter.count("https://a.example:81", now), Ok(()), "another host");
    assert_eq!(limiter.count("", now), Ok(()));
    assert_eq!(limiter.count("https://a.example", now + Duration::from_secs(60)), Ok(()));
}

#[test]
fn hosts_without_limit_match_whole() {
    let limiter = limiter("0 3 example.com /(.*\\.)?example\\.org/");
    let now = Instant::now();
    for (origin, allowed) in [
        ("https://example.com", true),
        ("https://EXAMPLE.com", true),
        ("https://www.example.com", false),
        ("https://examplexcom", false),
        ("https://example.com:8080", false),
        ("http://example.org", true),
        ("http://a.b.example.org", true),
        ("http://example.org.evil", false),
        ("", false),
    ] {
        assert_eq!(limiter.count(origin, now).is_ok(), allowed, "{origin}");
    }
}

#[test]
fn hosts_beyond_the_bound_share_a_count() {
    let limiter = limiter("1 1");
    let now = Instant::now();
    for n in 0..MAX_HOSTS {
        assert_eq!(limiter.count(&format!("http://{n}"), now), Ok(()));
    }
    assert_eq!(limiter.count("http://one-more", now), Ok(()));
    assert!(limiter.count("http://two-more", now).is_err());
}

#[test]
fn what_is_no_limit() {
    for text in ["", "1", "x 1", "1 0", "1 1 /a", "1 1 a/", "1 1 /", "1 1 //", "1 1 /(/"] {
        assert!(text.parse::<RateLimit>().is_err(), "{text}");
    }
}
