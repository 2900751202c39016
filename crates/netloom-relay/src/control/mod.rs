//! Control: what operators ask of a running relay, over HTTP.
//!
//! ```text
//! unix socket ─▶ every path ─┐
//!                            ├─▶ api · gvisor · metrics ─▶ LanHandle::ask ─▶ a LAN's thread
//! main listener ─▶ /api/… ───┘
//! ```
//!
//! On the unix socket, which is for who runs the relay, nothing more is asked. On the main listener `/api/…` needs the control token, and so
//! does `/metrics` unless all listeners are loopback.

mod api;
mod capture;
mod dns;
mod error;
mod forwards;
mod gvisor;
mod kick;
mod metrics;
pub(crate) mod snapshot;
mod socket;
#[cfg(test)]
mod tests;
mod token;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::config::ControlSettings;
use crate::egress::Refusals;
use crate::header;
use crate::lan::LanHandle;
use crate::listen::{Body, boxed, text};
pub(crate) use dns::Names;
use error::ApiError;
pub(crate) use snapshot::{ClientStatus, LanStatus, LeaseStatus, Status};
pub(crate) use socket::{ControlSocket, found_path};
use token::Token;

/// Longest body of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What was changed and what was kept, in lines for people; or why the configuration is not taken.
pub(crate) type Reloaded = Result<Vec<String>, String>;

/// Somebody wants the configuration read again, and waits for what came of it.
pub(crate) type ReloadRequest = oneshot::Sender<Reloaded>;

/// Where requests to reload arrive.
pub(crate) type ReloadRequests = mpsc::Receiver<ReloadRequest>;

/// How much of something that is limited is taken.
#[derive(Clone, Debug)]
pub(crate) struct Occupancy {
    pub(crate) free: Arc<Semaphore>,
    pub(crate) most: usize,
}

impl Occupancy {
    fn taken(&self) -> usize {
        self.most.saturating_sub(self.free.available_permits())
    }
}

/// What a relay consists of, as far as operators ask.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) lans: Vec<LanHandle>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) connections: Occupancy,
    pub(crate) wisp: Option<Occupancy>,
}

/// Answers operators.
pub(crate) struct Control {
    view: RwLock<View>,
    started: Instant,
    token: Option<Token>,
    /// Whether whoever reaches the listeners may read the metrics.
    open_metrics: bool,
    reload: mpsc::Sender<ReloadRequest>,
    /// Forwards as gvisor's clients wrote them.
    exposed: Mutex<gvisor::Exposed>,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// By the unix socket.
    Socket,
    /// By the main listener, past its gate.
    Listener,
}

impl Control {
    /// What answers for a relay, and where it hands requests to reload. `open_metrics` says that all listeners are loopback.
    pub(crate) fn new(settings: &ControlSettings, view: View, open_metrics: bool) -> (Self, ReloadRequests) {
        let (reload, requests) = mpsc::channel(1);
        let control = Self {
            view: RwLock::new(view),
            started: Instant::now(),
            token: settings.token.as_deref().map(Token::of),
            open_metrics,
            reload,
            exposed: Mutex::default(),
        };
        (control, requests)
    }

    /// The relay consists of something else now.
    pub(crate) fn set_view(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    fn view(&self) -> View {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a path of the main listener is for operators.
    pub(crate) fn is_path(path: &str) -> bool {
        path == "/metrics" || path == "/api" || path.starts_with("/api/")
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, door: Door, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if door == Door::Listener
            && let Some(refusal) = self.refuse(&path, request.headers())
        {
            return refusal;
        }
        let answered = match path.as_str() {
            "/metrics" => match *request.method() {
                Method::GET | Method::HEAD => Ok(boxed(self.metrics().await)),
                _ => Err(ApiError::method("GET, HEAD")),
            },
            "/api" => self.api("", request).await,
            _ => match path.strip_prefix("/api/") {
                Some(rest) => self.api(rest, request).await,
                None if door == Door::Socket => return self.gvisor(&path, request).await,
                None => Err(ApiError::not_found("there is nothing at this path")),
            },
        };
        answered.unwrap_or_else(|error| error.answer())
    }

    /// What a request on the main listener is told that may not be answered there.
    fn refuse(&self, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        if path == "/metrics" && self.open_metrics {
            return None;
        }
        let Some(token) = &self.token else {
            return Some(boxed(text(
                StatusCode::NOT_FOUND,
                "this is served on the relay's control socket; --control-token-file FILE opens it here too\n",
            )));
        };
        let given = headers.get(AUTHORIZATION).and_then(header::bearer);
        if given.is_some_and(|given| token.is(given)) {
            return None;
        }
        let mut answer =
            text(StatusCode::UNAUTHORIZED, "the control token is needed: Authorization: Bearer TOKEN\n");
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Some(boxed(answer))
    }

    /// The LAN of a name, or the first where none is named.
    fn lan(&self, name: Option<&str>) -> Result<LanHandle, ApiError> {
        let lans = self.view().lans;
        let found = match name {
            Some(name) => lans.iter().find(|lan| lan.name() == name),
            None => lans.first(),
        };
        found.cloned().ok_or_else(|| {
            let known = lans.iter().map(LanHandle::name).collect::<Vec<_>>().join(", ");
            ApiError::not_found(format!("there is no LAN `{}`; there are: {known}", name.unwrap_or_default()))
        })
    }

    /// The LANs that are meant: the one of a name, or all.
    fn lans(&self, name: Option<&str>) -> Result<Vec<LanHandle>, ApiError> {
        match name {
            Some(_) => Ok(vec![self.lan(name)?]),
            None => Ok(self.view().lans),
        }
    }

    /// Takes something of every LAN that is meant; one that has just stopped has nothing.
    async fn gather<T: Send + 'static>(
        &self,
        lan: Option<&str>,
        take: impl Fn(&std::rc::Rc<crate::lan::LanTask>) -> Vec<T> + Clone + Send + 'static,
    ) -> Result<Vec<T>, ApiError> {
        let mut all = Vec::new();
        for lan in self.lans(lan)? {
            let take = take.clone();
            all.extend(lan.ask(move |lan| take(lan)).await.unwrap_or_default());
        }
        Ok(all)
    }
}

/// The body of a request, if it is not too long.
async fn read_body(request: Request<Incoming>) -> Result<Bytes, ApiError> {
    use http_body_util::{BodyExt as _, Limited};
    match Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(ApiError::bad(format!("the body cannot be read, or is too long: {error}"))),
    }
}

/// A refusal that names the methods that are served.
fn allow(mut answer: Response<Body>, methods: &'static str) -> Response<Body> {
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}
