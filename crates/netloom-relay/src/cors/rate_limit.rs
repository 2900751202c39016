//! How many requests an origin has per period, in cors-anywhere's words: `MAX MINUTES [HOST...]`, where a host, or a regular expression
//! between slashes, has no limit.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use regex_lite::Regex;

/// Hosts that are counted each by itself; those that come when there are as many share one count.
const MAX_HOSTS: usize = 65_536;

/// The limit.
#[derive(Clone, Debug)]
pub struct RateLimit {
    max_requests: u64,
    period_minutes: u64,
    unlimited: Option<Regex>,
    text: String,
}

impl PartialEq for RateLimit {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RateLimit {}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for RateLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a rate limit; write requests, minutes and hosts without limit, as 50 3 example.com"
            )
        };
        let mut words = text.split_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).ok_or_else(wrong);
        let (max_requests, period_minutes) = (number()?, number()?);
        if !(1..=525_600).contains(&period_minutes) {
            return Err(format!("a period of {period_minutes} minutes is out of range; write 1 to 525600"));
        }
        let patterns = words.map(pattern).collect::<Result<Vec<_>, _>>()?;
        let unlimited = match patterns.as_slice() {
            [] => None,
            _ => Some(Regex::new(&format!("^(?i:{})$", patterns.join("|"))).map_err(|_| wrong())?),
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self { max_requests, period_minutes, unlimited, text })
    }
}

/// The regular expression that a word stands for.
fn pattern(word: &str) -> Result<String, String> {
    if !word.starts_with('/') && !word.ends_with('/') {
        return Ok(regex_lite::escape(word));
    }
    let inner = word.strip_prefix('/').and_then(|word| word.strip_suffix('/')).filter(|it| !it.is_empty());
    match inner.map(|inner| (inner, Regex::new(inner))) {
        Some((inner, Ok(_))) => Ok(format!("(?:{inner})")),
        Some((_, Err(error))) => Err(format!("`{word}` is not a regular expression: {error}")),
        None => Err(format!("`{word}` must begin and end with a slash, as /(.*\\.)?example\\.com/")),
    }
}

/// A limit and what was counted against it in the period that runs.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: RateLimit,
    counted: Mutex<(Instant, HashMap<String, u64>)>,
}

impl Limiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, counted: Mutex::new((Instant::now(), HashMap::new())) }
    }

    /// Counts a request of an origin, which is empty where the request names none; an error says why it is one too many.
    pub(crate) fn count(&self, origin: &str, now: Instant) -> Result<(), String> {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        if self.limit.unlimited.as_ref().is_some_and(|hosts| hosts.is_match(host)) {
            return Ok(());
        }
        let period = Duration::from_secs(self.limit.period_minutes * 60);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(counted.0) >= period {
            *counted = (now, HashMap::new());
        }
        let own = counted.1.contains_key(host) || counted.1.len() < MAX_HOSTS;
        let count = counted.1.entry(if own { host.to_owned() } else { String::new() }).or_default();
        if *count >= self.limit.max_requests {
            return Err(self.said());
        }
        *count += 1;
        Ok(())
    }

    fn said(&self) -> String {
        let RateLimit { max_requests, period_minutes, .. } = self.limit;
        let period =
            if period_minutes == 1 { "minute".to_owned() } else { format!("{period_minutes} minutes") };
        format!(
            "The number of requests is limited to {max_requests} per {period}. Please self-host CORS Anywhere if you need more quota. See https://github.com/Rob--W/cors-anywhere#demo-server"
        )
    }
}

#[cfg(test)]
#[path = "rate_limit_tests.rs"]
mod tests;
