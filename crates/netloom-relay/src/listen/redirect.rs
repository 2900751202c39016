//! What is answered in the clear where TLS is spoken: where to go instead.

use http::header::{CONNECTION, HeaderMap, HeaderValue, LOCATION, UPGRADE};
use http::uri::PathAndQuery;
use http::{Request, StatusCode};

use super::gate::{Gate, Refusal};
use super::page::{self, Answer};

/// HTTPS' own port, which URLs leave out.
const HTTPS_PORT: u16 = 443;

/// Answers a request in the clear: where it is by TLS, at `port`. WebSockets are told in words, since clients follow no redirect (RFC 6455
/// section 4.1). `guest` is the host where it is a guest's.
///
/// # Errors
/// [`Refusal`]: only to hosts of ours is anybody sent.
pub(super) fn answer<B>(
    gate: &Gate,
    request: &Request<B>,
    guest: Option<&str>,
    port: u16,
) -> Result<Answer, Refusal> {
    let host = match guest {
        Some(host) => host,
        None => gate.check_host(request.uri(), request.headers())?,
    };
    let name = name(host);
    let authority = if port == HTTPS_PORT { name.to_owned() } else { format!("{name}:{port}") };
    if is_upgrade(request.headers()) {
        let said = format!("TLS is spoken here: connect to wss://{authority}/\n");
        let mut answer = page::text(StatusCode::UPGRADE_REQUIRED, said);
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("TLS/1.2, websocket"));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        return Ok(answer);
    }
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let location = HeaderValue::try_from(format!("https://{authority}{path}"));
    let mut answer = page::text(StatusCode::PERMANENT_REDIRECT, "TLS is spoken here\n");
    answer.headers_mut().extend(location.ok().map(|location| (LOCATION, location)));
    Ok(answer)
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

/// The host of an authority that the gate has let pass.
fn name(authority: &str) -> &str {
    let end = authority.find(']').map_or(0, |at| at + 1);
    authority[end..].find(':').map_or(authority, |at| &authority[..end + at])
}

#[cfg(test)]
#[path = "redirect_tests.rs"]
mod tests;
