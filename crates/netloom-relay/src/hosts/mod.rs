//! Guests' web servers by host name: `<guest>.localhost`, `<port>.<guest>.localhost`, and names that are given.
//!
//! ```text
//! request ─▶ whose host is it? ─▶ the gate for guests ─▶ headers ─▶ a connection to the guest, by its LAN's thread
//! ```
//!
//! A guest's server has the whole of its host name and nothing of the relay's, whose own paths are not served there. What a guest writes is
//! thus never on the relay's origin, nor on another guest's.

mod connection;
mod headers;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use http::header::{HeaderValue, RETRY_AFTER, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, info};

use crate::access::Pass;
use crate::config::{GuestHost, HostSettings};
use crate::forward::Unreached;
use crate::lan::LanHandle;
use crate::limit::Share;
use crate::listen::gate;
use crate::listen::page::{self, Body, boxed};
pub(crate) use connection::Kept;
use connection::NoAnswer;

/// Bytes of one direction of an upgraded connection that are carried at once.
const UPGRADED_BYTES: usize = 64 * 1024;
/// When to ask again for a guest that is not there, in seconds.
const RETRY_S: HeaderValue = HeaderValue::from_static("5");

/// Whose host names are guests'.
#[derive(Debug)]
pub(crate) struct Hosts(RwLock<HostSettings>);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) is_tls: bool,
}

/// What a client is here by, for as long as its connection lasts, upgraded or not.
#[derive(Clone, Debug)]
pub(crate) struct Stay {
    /// By what token, where tokens are asked for.
    pub(crate) pass: Option<Pass>,
    pub(crate) _share: Share,
    pub(crate) _permit: Arc<OwnedSemaphorePermit>,
}

impl Stay {
    /// Waits until its token no longer leads to a LAN; answers the token's name.
    async fn end(&mut self, lan: &str) -> String {
        let Some(pass) = &mut self.pass else { return std::future::pending().await };
        while pass.rules().is_some_and(|rules| rules.lan(Some(lan)).is_some()) {
            pass.changed().await;
        }
        pass.name().to_owned()
    }
}

impl Hosts {
    pub(crate) const fn new(settings: HostSettings) -> Self {
        Self(RwLock::new(settings))
    }

    /// Leads by other names from now on.
    pub(crate) fn set(&self, settings: HostSettings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Where a host leads, if it is a guest's. `<guest>.localhost` is for clients on this host alone.
    pub(crate) fn find(&self, host: &str, is_local: bool) -> Option<GuestHost> {
        let name = gate::name_of(host)?;
        let settings = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let given = settings.names.iter().find(|(known, _)| *known == name).map(|(_, guest)| guest.clone());
        let of_localhost =
            || (settings.localhost && is_local).then(|| HostSettings::parse_localhost(&name)).flatten();
        given.or_else(of_localhost)
    }
}

/// Has a guest answer a request. `kept` is the connection of this client's last one.
pub(crate) async fn answer(
    lan: &LanHandle,
    guest: &GuestHost,
    request: Request<Incoming>,
    client: Client,
    stay: Stay,
    kept: &Kept,
) -> Response<Body> {
    if request.method() == Method::CONNECT {
        return boxed(page::method_not_allowed());
    }
    match forward(lan, guest, request, client, stay, kept).await {
        Ok(answer) => answer,
        Err(error) => {
            debug!("{}: guest {} on LAN {}: {error}", client.address, guest.guest, guest.lan);
            let status = match error {
                NoAnswer::Unreached(Unreached::Absent | Unreached::Full) => StatusCode::SERVICE_UNAVAILABLE,
                NoAnswer::Unreached(Unreached::Silent) => StatusCode::GATEWAY_TIMEOUT,
                NoAnswer::Unreached(Unreached::Refused) | NoAnswer::Broken(_) => StatusCode::BAD_GATEWAY,
            };
            let GuestHost { lan, guest, port } = guest;
            let mut answer = page::text(
                status,
                format!("no answer from port {port} of guest {guest} on LAN {lan}: {error}\n"),
            );
            if status == StatusCode::SERVICE_UNAVAILABLE {
                answer.headers_mut().insert(RETRY_AFTER, RETRY_S);
            }
            boxed(answer)
        }
    }
}

async fn forward(
    lan: &LanHandle,
    guest: &GuestHost,
    mut request: Request<Incoming>,
    client: Client,
    stay: Stay,
    kept: &Kept,
) -> Result<Response<Body>, NoAnswer> {
    let protocol = headers::upgrade(request.headers());
    let ours = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
    headers::to_guest(&mut request, client, protocol);
    let mut answer = kept.send(lan, guest, request).await?;
    let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = answer.headers().get(UPGRADE).cloned();
    if let (Some(ours), true) = (ours, switched) {
        let theirs = hyper::upgrade::on(&mut answer);
        tokio::spawn(join(ours, theirs, lan.name().to_owned(), client, stay));
    } else if switched {
        return Err(NoAnswer::Broken("it upgrades a connection that was not asked to be".to_owned()));
    }
    headers::from_guest(&mut answer, protocol.filter(|_| switched));
    // The guest's version is between it and us.
    *answer.version_mut() = Version::HTTP_11;
    Ok(boxed(answer))
}

/// Carries what both ends of an upgraded connection say, until both have ended or the client may no longer be here.
async fn join(ours: OnUpgrade, theirs: OnUpgrade, lan: String, client: Client, mut stay: Stay) {
    let (ours, theirs) = match tokio::try_join!(ours, theirs) {
        Ok(both) => both,
        Err(error) => return debug!("a connection was not upgraded: {error}"),
    };
    let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
    tokio::select! {
        carried = copy_bidirectional_with_sizes(&mut ours, &mut theirs, UPGRADED_BYTES, UPGRADED_BYTES) => {
            if let Err(error) = carried {
                debug!("an upgraded connection ended: {error}");
            }
        }
        token = stay.end(&lan) => info!("{}: token {token} no longer leads to LAN {lan}", client.address),
    }
}
