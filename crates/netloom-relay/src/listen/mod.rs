//! The listeners: accept, read one request head, pass the gate, route, and hand guests' sockets to their LAN's thread.
//!
//! Owns the listening sockets, the count of connections and the gate. Everything slow or hostile ends here: a request head has 10 s and
//! 16 KiB.

mod gate;
mod page;
mod qemu;
mod route;

use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::config::{Config, Root};
use crate::cors::{self, Call, Cors};
use crate::doh;
use crate::egress::Dialer;
use crate::lan::{Encapsulation, LanHandle, NewClient};
use crate::socket::Detached;
use crate::tls;
use crate::wisp::{self, Form, WispHandle, WorkerHandle};
use gate::{Gate, Refusal};
use page::Answer;
pub(crate) use qemu::QemuListener;
use route::Route;

/// How long a request head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request head, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Most header lines of a request.
const MAX_HEADERS: usize = 64;
/// How long accepting rests when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds a listener.
///
/// # Errors
/// What the kernel says: the port in use, an address that is not this host's, no right to the port.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What all connections share.
pub(crate) struct Entrance {
    gate: Gate,
    cors: Option<Cors>,
    /// Answers DNS over HTTPS.
    dns: Arc<Dialer>,
    root: Root,
    lans: Vec<LanHandle>,
    wisp: Option<WispHandle>,
    connections: Arc<Semaphore>,
    full_logged: AtomicBool,
    tls: Option<TlsAcceptor>,
}

/// One connection, until it is a guest's or ends.
struct Visitor {
    entrance: Arc<Entrance>,
    peer: SocketAddr,
    local: IpAddr,
    permit: Arc<OwnedSemaphorePermit>,
}

impl Entrance {
    /// `streams` dials for what has no LAN.
    ///
    /// # Errors
    /// If this build's TLS cannot be set up.
    pub(crate) fn new(
        config: &Config,
        lans: Vec<LanHandle>,
        wisp: Option<WispHandle>,
        tls: Option<TlsAcceptor>,
        streams: &Arc<Dialer>,
    ) -> anyhow::Result<Self> {
        let is_public = config.listen.iter().any(|address| !address.ip().is_loopback());
        let cors = config.cors.clone().map(|settings| Cors::new(settings, Arc::clone(streams), is_public));
        Ok(Self {
            gate: Gate::new(config.public_names.clone(), config.origins.clone()),
            cors: cors.transpose()?,
            dns: Arc::clone(streams),
            root: config.root,
            lans,
            wisp,
            connections: Arc::new(Semaphore::new(config.max_connections)),
            full_logged: AtomicBool::new(false),
            tls,
        })
    }

    /// Accepts for as long as it is polled.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.receive(stream, peer),
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    warn!("cannot accept a connection: {error}; raise the limit of open files (ulimit -n)");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn receive(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Some(permit) = self.permit(&peer) else { return };
        let Ok(local) = stream.local_addr() else { return };
        if let Err(error) = stream.set_nodelay(true) {
            debug!("{peer}: {error}");
        }
        let visitor = Arc::new(Visitor { entrance: Arc::clone(self), peer, local: local.ip(), permit });
        let Some(acceptor) = self.tls.clone() else {
            tokio::spawn(visitor.serve(stream));
            return;
        };
        tokio::spawn(async move {
            match tls::terminate(&acceptor, stream).await {
                Ok((inner, carrier)) => {
                    tokio::spawn(visitor.serve(inner));
                    carrier.run().await;
                }
                Err(error) => debug!("{peer}: no TLS: {error}"),
            }
        });
    }

    /// Room for one more connection; that there is none is logged once.
    fn permit(&self, peer: &impl Display) -> Option<Arc<OwnedSemaphorePermit>> {
        let permit = Arc::clone(&self.connections).try_acquire_owned().ok();
        if permit.is_none() && !self.full_logged.swap(true, Ordering::Relaxed) {
            warn!("refused {peer}: as many connections are open as max_connections allows");
        }
        permit.map(Arc::new)
    }
}

impl Visitor {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let peer = self.peer;
        let service = service_fn(move |request| {
            let visitor = Arc::clone(&self);
            async move { Ok::<_, Infallible>(visitor.respond(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        if let Err(error) = connection.await {
            debug!("{peer}: {error}");
        }
    }

    /// Answers what takes its time, and leaves the rest to [`Self::answer`].
    async fn respond(&self, request: Request<Incoming>) -> Response<cors::Body> {
        let Entrance { gate, cors, dns, .. } = &*self.entrance;
        if let Some((cors, call)) =
            cors.as_ref().and_then(|cors| Some((cors, Call::of(&request, self.entrance.root == Root::Cors)?)))
        {
            // Pages of every origin may call the proxy; it has lists of its own.
            return match gate.check_host(request.uri(), request.headers()) {
                Ok(_) => cors.answer(call, request, self.peer.ip(), self.entrance.tls.is_some()).await,
                Err(refusal) => self.refuse(&refusal).map(Either::Left),
            };
        }
        if request.uri().path() == doh::PATH && !request.headers().contains_key(UPGRADE) {
            let answer = match gate.check(request.uri(), request.headers(), self.local) {
                Ok(()) => doh::answer(dns, request).await,
                Err(refusal) => self.refuse(&refusal),
            };
            return answer.map(Either::Left);
        }
        self.answer(request).map(Either::Left)
    }

    fn refuse(&self, refusal: &Refusal) -> Answer {
        self.entrance.gate.log(refusal, self.peer.ip());
        let status =
            if *refusal == Refusal::HostMissing { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
        page::text(status, format!("{refusal}\n"))
    }

    fn answer(&self, mut request: Request<Incoming>) -> Answer {
        if let Err(refusal) = self.entrance.gate.check(request.uri(), request.headers(), self.local) {
            return self.refuse(&refusal);
        }
        match route::route(self.entrance.root, request.method(), request.uri().path(), request.headers()) {
            Route::Guest { lan, key, protocol, encapsulation } => {
                let upgrade = hyper::upgrade::on(&mut request);
                self.admit(&lan, &key, protocol, encapsulation, upgrade)
            }
            Route::Wisp { key, protocol, form } => {
                let upgrade = hyper::upgrade::on(&mut request);
                self.admit_stream(&key, protocol, form, upgrade)
            }
            Route::Page => page::page(),
            Route::Health => page::text(StatusCode::OK, "ok\n"),
            Route::NotFound => page::text(StatusCode::NOT_FOUND, "not found\n"),
            Route::Method => page::method_not_allowed(),
            Route::BadUpgrade(why) => page::text(StatusCode::BAD_REQUEST, format!("{why}\n")),
            Route::UpgradeRequired => page::upgrade_required(),
        }
    }

    /// Agrees to the upgrade, and hands the socket to the LAN once the answer is out.
    fn admit(
        &self,
        lan: &str,
        key: &str,
        protocol: Option<String>,
        encapsulation: Encapsulation,
        upgrade: OnUpgrade,
    ) -> Answer {
        let Some(lan) = self.entrance.lans.iter().find(|handle| handle.name() == lan) else {
            return page::text(StatusCode::NOT_FOUND, "this relay has no LAN of that name\n");
        };
        let Some(slot) = lan.slot() else {
            return page::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the LAN has as many clients as max_clients allows\n",
            );
        };
        let (lan, peer, permit) = (lan.sender(), self.peer, Arc::clone(&self.permit));
        // A LAN that has stopped drops its channel; the socket closes with it.
        self.agree(key, protocol, upgrade, move |stream, read| {
            let (socket, peer) = (Detached::Tcp(stream), peer.to_string());
            drop(lan.send(NewClient { socket, encapsulation, read, peer, permits: (permit, slot) }));
        })
    }

    /// Agrees to the upgrade, and hands the socket to a worker of the Wisp server.
    fn admit_stream(&self, key: &str, protocol: Option<String>, form: Form, upgrade: OnUpgrade) -> Answer {
        let Some(wisp) = &self.entrance.wisp else {
            return page::text(StatusCode::NOT_FOUND, "this relay has no Wisp server\n");
        };
        if let Err(why) = wisp.admits(&form) {
            return page::text(StatusCode::FORBIDDEN, format!("{why}\n"));
        }
        let Some((slot, worker)) = wisp.slot().zip(wisp.worker()) else {
            return page::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the Wisp server has as many clients as max_clients allows\n",
            );
        };
        let (peer, permits) = (self.peer, (Arc::clone(&self.permit), slot));
        self.agree(key, protocol, upgrade, move |stream, read| {
            let WorkerHandle { sender, weight } = worker;
            drop(sender.send(wisp::NewClient { stream, read, peer, form, permits, weight }));
        })
    }

    /// Agrees to the upgrade; whose the socket is then gets it with what was read beyond the request, once the answer is out.
    fn agree(
        &self,
        key: &str,
        protocol: Option<String>,
        upgrade: OnUpgrade,
        hand_over: impl FnOnce(std::net::TcpStream, Bytes) + Send + 'static,
    ) -> Answer {
        let protocol = protocol.map(|protocol| HeaderValue::try_from(protocol).ok());
        let accept = HeaderValue::try_from(netloom_proto::websocket::accept_key(key)).ok();
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
            let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
            match parts.io.into_inner().into_std() {
                Ok(stream) => hand_over(stream, parts.read_buf),
                Err(error) => debug!("{peer}: {error}"),
            }
        });
        answer
    }
}

/// Errors of one connection that ended before it was accepted (accept(2)).
pub(crate) fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied)
}
