//! The listeners: accept, read one request head, pass the gate, route, and hand guests' sockets to their LAN's thread.
//!
//! ```text
//! accept ─▶ visitor (head · gate · route) ─▶ upgrade ─▶ lan, wisp
//!                                         └▶ page, cors, doh
//! ```

mod accept;
mod admitted;
mod connection;
pub(crate) mod gate;
mod guest_host;
mod held;
mod idle;
mod limits;
pub(crate) mod page;
mod qemu;
mod queries;
mod redirect;
mod requests;
mod route;
mod token;
mod unix;
mod upgrade;
mod visitor;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::access::Access;
use crate::config::{Config, HostSettings, Root};
use crate::control::Control;
use crate::cors::Cors;
use crate::egress::Dialer;
use crate::hosts::Hosts;
use crate::lan::LanHandle;
use crate::limit::Limits;
use crate::wisp::WispHandle;
pub(crate) use accept::{Scheme, bind, is_transient};
use admitted::Admitted;
use gate::Gate;
use limits::Courtesy;
use page::Unauthorized;
pub(crate) use page::{Body, boxed, json, text};
pub(crate) use qemu::QemuListener;
use token::Shown;
pub(crate) use unix::{SocketFile, bind_unix};

/// What outlives a configuration.
pub(crate) struct Lasting {
    /// The connections that there may be.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) control: Arc<Control>,
}

/// What all connections share.
pub(crate) struct Entrance {
    gate: Gate,
    cors: Option<Cors>,
    /// Answers DNS over HTTPS.
    dns: Arc<Dialer>,
    /// What of that there may be at once.
    queries: Semaphore,
    hosts: Hosts,
    root: Root,
    access: Option<Arc<Access>>,
    lans: RwLock<Vec<LanHandle>>,
    wisp: Option<WispHandle>,
    limits: Arc<Limits>,
    courtesy: Courtesy,
    connections: Arc<Semaphore>,
    max_connections: usize,
    /// The connections that there may be beside those once the relay stops, to be told so.
    late_connections: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
    full_logged: AtomicBool,
    tls: RwLock<Option<TlsAcceptor>>,
    control: Arc<Control>,
    /// Where those are sent who ask for TLS in the clear.
    https_port: u16,
}

impl Entrance {
    /// `streams` dials for what has no LAN.
    ///
    /// # Errors
    /// If this build's TLS cannot be set up, or the tokens file is wrong.
    pub(crate) fn new(
        config: &Config,
        lans: Vec<LanHandle>,
        wisp: Option<WispHandle>,
        tls: Option<TlsAcceptor>,
        https_port: u16,
        streams: &Arc<Dialer>,
        lasting: Lasting,
    ) -> anyhow::Result<Self> {
        let is_public =
            config.listen.iter().chain(&config.listen_plain).any(|address| !address.ip().is_loopback());
        let cors = config.cors.clone().map(|settings| Cors::new(settings, Arc::clone(streams), is_public));
        let access = config.tokens.as_deref().map(Access::open).transpose()?;
        if let Some(access) = &access {
            tokio::spawn(Access::watch(Arc::downgrade(access)));
        }
        Ok(Self {
            access,
            gate: Gate::new(config.public_names.clone(), config.origins.clone()),
            cors: cors.transpose()?,
            dns: Arc::clone(streams),
            queries: Semaphore::new(queries::MAX_QUERIES),
            hosts: Hosts::new(config.hosts.clone()),
            root: config.root,
            lans: RwLock::new(lans),
            wisp,
            limits: lasting.limits,
            courtesy: Courtesy::default(),
            connections: lasting.connections,
            max_connections: config.max_connections,
            late_connections: Arc::new(Semaphore::new(config.max_connections)),
            stopping: watch::Sender::new(false),
            full_logged: AtomicBool::new(false),
            tls: RwLock::new(tls),
            control: lasting.control,
            https_port,
        })
    }

    /// The LAN of a name.
    fn lan(&self, name: &str) -> Option<LanHandle> {
        let lans = self.lans.read().unwrap_or_else(PoisonError::into_inner);
        lans.iter().find(|lan| lan.name() == name).cloned()
    }

    /// The LAN of a name as it stands in a host name, which has no upper case.
    fn lan_of_host(&self, name: &str) -> Option<LanHandle> {
        let lans = self.lans.read().unwrap_or_else(PoisonError::into_inner);
        lans.iter().find(|lan| lan.name().eq_ignore_ascii_case(name)).cloned()
    }

    fn tls(&self) -> Option<TlsAcceptor> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows another certificate from now on.
    pub(crate) fn set_tls(&self, tls: TlsAcceptor) {
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = Some(tls);
    }

    /// Tells whoever asks for anything from now on that the relay stops. Those who are connected stay.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until nobody is connected any more who was before the relay began to stop.
    pub(crate) async fn emptied(&self) {
        let all = u32::try_from(self.max_connections).unwrap_or(u32::MAX);
        drop(self.connections.acquire_many(all).await);
    }

    /// Leads to these LANs from now on.
    pub(crate) fn set_lans(&self, lans: Vec<LanHandle>) {
        *self.lans.write().unwrap_or_else(PoisonError::into_inner) = lans;
    }

    /// Knows guests by other names from now on.
    pub(crate) fn set_hosts(&self, hosts: HostSettings) {
        self.hosts.set(hosts);
    }

    /// Admits others from now on.
    pub(crate) fn set_gate(&self, config: &Config) {
        self.gate.set(config.public_names.clone(), config.origins.clone());
    }

    /// What who showed this may do, where tokens are asked for.
    fn authorize(&self, shown: Option<&Shown>) -> Result<Option<Admitted>, Unauthorized> {
        let Some(access) = &self.access else { return Ok(None) };
        let shown = shown.ok_or(Unauthorized::Missing)?;
        let pass = access.check(&shown.secret).ok_or(Unauthorized::Unknown)?;
        Admitted::by(pass).map(Some)
    }
}
