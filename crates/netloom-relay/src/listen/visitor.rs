//! One connection: the gate, and where each of its requests goes.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{REFERRER_POLICY, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tracing::debug;

use super::Entrance;
use super::admitted::Admitted;
use super::connection::Connection;
use super::gate::Refusal;
use super::guest_host::Named;
use super::held::hold;
use super::limits::{Caller, Standing, too_many};
use super::page::{self, Answer, Body, Unauthorized, boxed};
use super::queries::MAX_QUERIES_OF_CONNECTION;
use super::redirect;
use super::requests;
use super::route::{self, Route};
use super::token::{self, Shown, Whose};
use super::upgrade::Handshake;
use crate::conduit::Handle;
use crate::config::Root;
use crate::control::{Control, Door};
use crate::cors::{self, Call, Cors};
use crate::doh;
use crate::hosts;
use crate::limit::{Paced, Pacing};

/// One connection, until it is a guest's or ends.
pub(super) struct Visitor {
    pub(super) entrance: Arc<Entrance>,
    pub(super) peer: SocketAddr,
    pub(super) local: IpAddr,
    pub(super) standing: Standing,
    /// What its connection is paced by.
    pub(super) pacing: Pacing,
    pub(super) is_tls: bool,
    /// What of queries of DNS it may have open at once.
    pub(super) queries: Semaphore,
    /// Where who comes in the clear is sent instead.
    pub(super) redirect_to: Option<u16>,
    /// The connection to the guest whose web server was asked last.
    pub(super) kept: hosts::Kept,
}

impl Visitor {
    /// Of a connection in the clear.
    pub(super) fn new(entrance: Arc<Entrance>, peer: SocketAddr, local: IpAddr, standing: Standing) -> Self {
        let pacing = Pacing::default();
        if let Standing::Own(_, share) = &standing {
            pacing.set(share);
        }
        Self {
            entrance,
            peer,
            local,
            standing,
            pacing,
            is_tls: false,
            queries: Semaphore::new(MAX_QUERIES_OF_CONNECTION),
            redirect_to: None,
            kept: hosts::Kept::default(),
        }
    }

    pub(super) async fn serve(self: Arc<Self>, stream: Connection) {
        let (peer, is_http2) = (self.peer, stream.is_http2());
        let handle = stream.handle();
        let paced = Paced::new(stream, self.pacing.clone());
        let stopping = self.entrance.stopping.subscribe();
        let respond = move |request| {
            let (visitor, handle) = (Arc::clone(&self), handle.clone());
            async move { visitor.respond(request, handle).await }
        };
        if let Err(error) = requests::serve(paced, is_http2, stopping, respond).await {
            debug!("{peer}: {error}");
        }
    }

    /// Answers a request, once the token is taken out of it that it may show.
    async fn respond(&self, mut request: Request<Incoming>, handle: Option<Handle>) -> Response<Body> {
        let caller = match self.caller(request.headers()) {
            Ok(caller) => caller,
            Err(answer) => return boxed(*answer),
        };
        let named = self.named(&request);
        // A guest may have the same paths on its own host.
        let is_control = named.is_none()
            && Control::is_path(request.uri().path())
            && !request.headers().contains_key(UPGRADE);
        if self.entrance.is_stopping() && !is_control {
            return boxed(page::busy("the relay is stopping\n"));
        }
        if let Some(port) = self.redirect_to {
            let host = named.as_ref().map(|named| named.host.as_str());
            let answer = redirect::answer(&self.entrance.gate, &request, host, port);
            return boxed(answer.unwrap_or_else(|refusal| self.refuse(&refusal, &caller)));
        }
        if is_control {
            return match self.entrance.gate.check(request.uri(), request.headers(), self.local) {
                Ok(()) => hold(self.entrance.control.answer(Door::Listener, request).await, caller.stake()),
                Err(refusal) => boxed(self.refuse(&refusal, &caller)),
            };
        }
        let shown = match (&named, &self.entrance.access) {
            (None, _) => token::take(&mut request, Whose::Ours),
            (Some(_), Some(_)) => {
                let shown = token::take(&mut request, Whose::Guests);
                shown.or_else(|| token::kept(request.headers_mut()))
            }
            // All that comes is the guest's.
            (Some(_), None) => None,
        };
        let is_in_url = shown.as_ref().is_some_and(|shown| shown.is_in_url);
        let mut answer = self.respond_to(request, caller, named, shown, handle).await;
        if is_in_url {
            // Nobody else is to read the address of a page that holds its token.
            answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        answer
    }

    /// Answers a caller once it is known by its token.
    async fn respond_to(
        &self,
        mut request: Request<Incoming>,
        mut caller: Caller,
        named: Option<Named>,
        shown: Option<Shown>,
        handle: Option<Handle>,
    ) -> Response<Body> {
        let Entrance { cors, root, .. } = &*self.entrance;
        let call = cors.as_ref().and_then(|cors| Some((cors, Call::of(&request, *root == Root::Cors)?)));
        match self.entrance.authorize(shown.as_ref()) {
            Ok(Some(Admitted { pass, rules })) => (caller.pass, caller.rules) = (Some(pass), rules),
            Ok(None) => {}
            Err(Unauthorized::Missing) if named.is_none() && token::is_free(&request, call.is_none()) => {}
            Err(refusal) => return boxed(page::unauthorized(refusal)),
        }
        if let Err(answer) = self.count_for_token(&mut caller) {
            return boxed(*answer);
        }
        // What passes within the kernel is not counted.
        if let Some(handle) = handle.filter(|_| self.pacing.is_free()) {
            request.extensions_mut().insert(handle);
        }
        // Until all of the answer is out, or nobody wants it any more.
        let stake = caller.stake();
        hold(self.route(request, caller, named, shown, call).await, stake)
    }

    /// Answers what takes its time, and leaves the rest to [`Self::answer`].
    async fn route(
        &self,
        request: Request<Incoming>,
        caller: Caller,
        named: Option<Named>,
        shown: Option<Shown>,
        call: Option<(&Cors, Call)>,
    ) -> Response<Body> {
        let gate = &self.entrance.gate;
        if let Some(named) = named {
            if let Some(shown) = shown.filter(|shown| shown.is_in_url && token::is_page(&request)) {
                return boxed(token::keep(&shown, &request, self.is_tls));
            }
            return self.lead(named, request, caller).await;
        }
        if let Some((cors, call)) = call {
            // Pages of every origin may call the proxy; it has lists of its own.
            return match gate.check_host(request.uri(), request.headers()) {
                Ok(_) => {
                    let flow = match caller.share.flow() {
                        Ok(flow) => flow,
                        Err(refused) => return boxed(too_many(&refused)),
                    };
                    let call = call.below(&shown.as_ref().map_or_else(Cow::default, Shown::prefix));
                    let token = caller
                        .pass
                        .as_ref()
                        .map(|pass| cors::Token { name: pass.name(), rules: &caller.rules });
                    let answer = cors.answer(call, request, caller.address, token, self.is_tls).await;
                    hold(boxed(answer), flow)
                }
                Err(refusal) => boxed(self.refuse(&refusal, &caller)),
            };
        }
        if request.uri().path() == doh::PATH && !request.headers().contains_key(UPGRADE) {
            let answer = match gate.check(request.uri(), request.headers(), self.local) {
                Ok(()) => self.ask_dns(request, &caller).await,
                Err(refusal) => self.refuse(&refusal, &caller),
            };
            return boxed(answer);
        }
        boxed(self.answer(request, caller))
    }

    pub(super) fn refuse(&self, refusal: &Refusal, caller: &Caller) -> Answer {
        self.entrance.gate.log(refusal, caller.address);
        let status =
            if *refusal == Refusal::HostMissing { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
        page::text(status, format!("{refusal}\n"))
    }

    fn answer(&self, mut request: Request<Incoming>, caller: Caller) -> Answer {
        if let Err(refusal) = self.entrance.gate.check(request.uri(), request.headers(), self.local) {
            return self.refuse(&refusal, &caller);
        }
        match route::route(self.entrance.root, request.method(), request.uri().path(), request.headers()) {
            Route::Guest { lan, key, protocol, encapsulation } => {
                let upgrade = hyper::upgrade::on(&mut request);
                let handshake = Handshake { key, protocol, upgrade };
                self.admit(lan.as_deref(), handshake, encapsulation, caller)
            }
            Route::Wisp { key, protocol, form } => {
                let upgrade = hyper::upgrade::on(&mut request);
                self.admit_stream(Handshake { key, protocol, upgrade }, form, caller)
            }
            Route::Page => page::page(),
            Route::Health => page::text(StatusCode::OK, "ok\n"),
            Route::NotFound => page::text(StatusCode::NOT_FOUND, "not found\n"),
            Route::Method => page::method_not_allowed(),
            Route::BadUpgrade(why) => page::text(StatusCode::BAD_REQUEST, format!("{why}\n")),
            Route::UpgradeRequired => page::upgrade_required(),
        }
    }
}
