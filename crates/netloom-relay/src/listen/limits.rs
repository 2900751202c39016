//! What limits mean for a connection: whether it is served, told why it is not, or turned away without a word.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::Entrance;
use super::page::{self, Answer};
use super::visitor::Visitor;
use crate::access::Pass;
use crate::config::tokens::Rules;
use crate::lan::resume::Cookie;
use crate::limit::{Refused, Share};

/// Connections that are one too many and are told so, at once and over a time each at the least: so that a flood of them costs next to
/// nothing.
const COURTESIES: usize = 32;
const COURTESY_PAUSE: Duration = Duration::from_millis(500);

/// How a connection stands with the limits.
pub(super) enum Standing {
    /// Everything on it is its own peer's.
    Own(Arc<OwnedSemaphorePermit>, Share),
    /// It is a proxy's: each request says whose it is.
    Proxied(Arc<OwnedSemaphorePermit>),
    /// It is told that it is one too many of somebody's.
    Refused { why: Refused, _told: Told },
    /// It is told that it is one too many of all.
    Full { _told: Told },
}

/// Who makes a request.
pub(super) struct Caller {
    /// Where it comes from, as far as trusted proxies tell.
    pub(super) address: IpAddr,
    /// The same for the log.
    pub(super) peer: String,
    pub(super) permit: Arc<OwnedSemaphorePermit>,
    pub(super) share: Share,
    /// By what token, where tokens are asked for.
    pub(super) pass: Option<Pass>,
    /// What that gave as it was let in; without tokens nothing less than all have.
    pub(super) rules: Arc<Rules>,
    /// By which it had a port before.
    pub(super) cookie: Option<Cookie>,
}

impl Caller {
    /// What it takes of limits, for as long as this is kept.
    pub(super) fn stake(&self) -> (Share, Arc<OwnedSemaphorePermit>) {
        (self.share.clone(), Arc::clone(&self.permit))
    }
}

/// Room to tell some of those why they are refused.
pub(super) struct Courtesy(Arc<Semaphore>);

impl Default for Courtesy {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(COURTESIES)))
    }
}

/// One who is told.
pub(super) struct Told(Option<OwnedSemaphorePermit>);

impl Courtesy {
    fn offer(&self) -> Option<Told> {
        Some(Told(Some(Arc::clone(&self.0).try_acquire_owned().ok()?)))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let permit = self.0.take();
        // Without a runtime there is nobody to tell any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                sleep(COURTESY_PAUSE).await;
                drop(permit);
            });
        }
    }
}

impl Entrance {
    /// How a new connection stands; `None` turns it away.
    pub(super) fn judge(&self, peer: SocketAddr) -> Option<Standing> {
        let share = if self.limits.is_proxy(peer.ip()) {
            None
        } else {
            match self.limits.arrive(peer.ip()) {
                Ok(share) => Some(share),
                Err(why) => return Some(Standing::Refused { why, _told: self.courtesy.offer()? }),
            }
        };
        let Some(permit) = self.permit(&peer) else {
            return Some(Standing::Full { _told: self.courtesy.offer()? });
        };
        Some(match share {
            Some(share) => Standing::Own(permit, share),
            None => Standing::Proxied(permit),
        })
    }
}

impl Visitor {
    /// Who makes a request, or why it is not answered.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Box<Answer>> {
        let (address, peer, cookie) = (self.peer.ip(), self.peer.to_string(), Cookie::of(headers));
        match &self.standing {
            Standing::Own(permit, share) => Ok(Caller {
                address,
                peer,
                permit: Arc::clone(permit),
                share: share.clone(),
                pass: None,
                rules: Arc::default(),
                cookie,
            }),
            Standing::Proxied(permit) => {
                let address = self.entrance.limits.client_of(address, headers);
                let share =
                    self.entrance.limits.arrive(address).map_err(|refused| Box::new(too_many(&refused)))?;
                self.pacing.set(&share);
                let peer = format!("{address} (by {peer})");
                Ok(Caller {
                    address,
                    peer,
                    permit: Arc::clone(permit),
                    share,
                    pass: None,
                    rules: Arc::default(),
                    cookie,
                })
            }
            Standing::Refused { why, .. } => Err(Box::new(too_many(why))),
            Standing::Full { .. } => {
                Err(Box::new(page::busy("the relay has as many connections as max_connections allows\n")))
            }
        }
    }

    /// Has what a caller uses count as its token's too.
    pub(super) fn count_for_token(&self, caller: &mut Caller) -> Result<(), Box<Answer>> {
        let Some(pass) = &caller.pass else { return Ok(()) };
        let share = caller.share.clone().with_token(&self.entrance.limits, pass.name(), &caller.rules.limits);
        caller.share = share.map_err(|refused| Box::new(too_many(&refused)))?;
        self.pacing.set(&caller.share);
        Ok(())
    }
}

/// 429, with the limit and when to come again.
pub(super) fn too_many(refused: &Refused) -> Answer {
    page::later(StatusCode::TOO_MANY_REQUESTS, format!("{refused}\n"), refused.retry_after_s())
}

/// Resets a connection: nothing of it stays here.
pub(super) fn turn_away(stream: &TcpStream) {
    drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}
