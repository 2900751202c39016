//! Upgrades to WebSocket: the answer that agrees, and whose the socket is then.

use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SET_COOKIE, UPGRADE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::connection::Connection;
use super::limits::Caller;
use super::page::{self, Answer};
use super::visitor::Visitor;
use crate::lan::resume::{Cookie, Origin};
use crate::lan::{Encapsulation, NewClient};
use crate::limit::Paced;
use crate::socket::Detached;
use crate::wisp::{self, Form, WorkerHandle};

/// A client's side of an upgrade.
pub(super) struct Handshake {
    /// Its `Sec-WebSocket-Key`.
    pub(super) key: String,
    /// The subprotocol to agree to.
    pub(super) protocol: Option<String>,
    pub(super) upgrade: OnUpgrade,
}

impl Visitor {
    /// Agrees to the upgrade, and hands the socket to the LAN once the answer is out.
    pub(super) fn admit(
        &self,
        lan: Option<&str>,
        handshake: Handshake,
        encapsulation: Encapsulation,
        caller: Caller,
    ) -> Answer {
        let Some(lan) = caller.rules.lan(lan) else {
            return page::text(StatusCode::FORBIDDEN, "this token does not lead to that LAN\n");
        };
        let Some(lan) = self.entrance.lan(lan) else {
            return page::text(StatusCode::NOT_FOUND, "this relay has no LAN of that name\n");
        };
        let Some(slot) = lan.slot() else {
            return page::busy("the LAN has as many clients as max_clients allows\n");
        };
        let resumes = lan.resumes();
        let (lan, Caller { address, peer, permit, share, pass, cookie, .. }) = (lan.sender(), caller);
        let cookie = if resumes { cookie.or_else(|| Cookie::new().ok()) } else { None };
        let given = cookie.as_ref().and_then(|cookie| cookie.header(self.is_tls));
        let token = pass.as_ref().map(|pass| pass.name().into());
        let origin = Origin { address: Some(address), cookie, token };
        // A LAN that has stopped drops its channel; the socket closes with it.
        let mut answer = self.agree(handshake, move |socket, read| {
            let permits = (permit, slot);
            drop(lan.send(NewClient { socket, encapsulation, read, peer, pass, share, origin, permits }));
        });
        if let Some(given) = given.filter(|_| answer.status() == StatusCode::SWITCHING_PROTOCOLS) {
            answer.headers_mut().insert(SET_COOKIE, given);
        }
        answer
    }

    /// Agrees to the upgrade, and hands the socket to a worker of the Wisp server.
    pub(super) fn admit_stream(&self, handshake: Handshake, form: Form, caller: Caller) -> Answer {
        let Some(wisp) = &self.entrance.wisp else {
            return page::text(StatusCode::NOT_FOUND, "this relay has no Wisp server\n");
        };
        if let Err(why) = wisp.admits(&form) {
            return page::text(StatusCode::FORBIDDEN, format!("{why}\n"));
        }
        let Some((slot, worker)) = wisp.slot().zip(wisp.worker()) else {
            return page::busy("the Wisp server has as many clients as max_clients allows\n");
        };
        let Caller { peer, permit, share, pass, .. } = caller;
        let permits = (permit, slot);
        self.agree(handshake, move |socket, read| {
            let WorkerHandle { sender, weight } = worker;
            drop(sender.send(wisp::NewClient { socket, read, peer, share, form, pass, permits, weight }));
        })
    }

    /// Agrees to the upgrade; whose the socket is then gets it with what was read beyond the request, once the answer is out.
    fn agree(
        &self,
        handshake: Handshake,
        hand_over: impl FnOnce(Detached, Bytes) + Send + 'static,
    ) -> Answer {
        let Handshake { key, protocol, upgrade } = handshake;
        let protocol = protocol.map(|protocol| HeaderValue::try_from(protocol).ok());
        let accept = HeaderValue::try_from(netloom_proto::websocket::accept_key(&key)).ok();
        let (Some(accept), None | Some(Some(_))) = (accept, &protocol) else {
            return page::text(StatusCode::BAD_REQUEST, "the upgrade cannot be answered\n");
        };
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(protocol) = protocol.flatten() {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let peer = self.peer;
        tokio::spawn(async move {
            let upgraded = match upgrade.await {
                Ok(upgraded) => upgraded,
                Err(error) => return debug!("{peer}: {error}"),
            };
            let Ok(parts) = upgraded.downcast::<TokioIo<Paced<Connection>>>() else { return };
            match parts.io.into_inner().into_inner().detach() {
                Ok(socket) => hand_over(socket, parts.read_buf),
                Err(error) => debug!("{peer}: {error}"),
            }
        });
        answer
    }
}
