//! The threads of a relay: one for each LAN, those of the Wisp server, and what accepts for them on the runtime it is called on.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::bind::Bound;
use crate::config::{Config, LanSettings};
use crate::control::{Control, Occupancy, ReloadRequests, View};
use crate::egress::Egress;
use crate::forward;
use crate::lan::{self, LanHandle};
use crate::limit::Limits;
use crate::listen::{Entrance, Lasting};
use crate::tap::Tap;
use crate::tls;
use crate::wisp::{self, WispHandle};

/// A relay at work.
pub(super) struct Running {
    /// In the order of the configuration.
    pub(super) lans: Vec<Lan>,
    pub(super) egress: Egress,
    pub(super) entrance: Arc<Entrance>,
    pub(super) limits: Arc<Limits>,
    /// Tasks that accept connections, which speak HTTP.
    listening: Vec<tokio::task::JoinHandle<()>>,
    /// Those for QEMU itself.
    listening_for_qemu: Vec<tokio::task::JoinHandle<()>>,
    /// That of the control socket.
    listening_for_control: Vec<tokio::task::JoinHandle<()>>,
    wisp: Option<Threads>,
    control: Arc<Control>,
    /// Stops the control socket, whose connections hold the other end.
    control_socket: Option<Threads>,
    /// What the control API tells beside the LANs.
    view: View,
    /// Requests of the control API to reload.
    pub(super) reloads: ReloadRequests,
}

/// A LAN's thread.
pub(super) struct Lan {
    pub(super) handle: LanHandle,
    threads: Threads,
}

/// Threads that end together. Each holds the other end of `stop` until it has ended.
struct Threads {
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Serves on what was bound.
    ///
    /// # Errors
    /// A thread that cannot be had, files of TLS that are wrong.
    pub(super) fn start(config: &Config, bound: Bound) -> anyhow::Result<Self> {
        let egress = Egress::new(&config.egress, bound.addresses.own());
        let limits = Arc::new(Limits::new(&config.limits));
        let mut lans: Vec<Lan> = Vec::new();
        for ((settings, forwards), taps) in config.lans.iter().zip(bound.forwards).zip(bound.taps) {
            lans.push(Lan::start(settings, &egress, &limits, forwards, taps)?);
        }
        let (mut wisp, mut wisp_handle) = (None, None);
        if let Some(settings) = &config.wisp {
            let (stop, stopped) = watch::channel(false);
            let (handle, threads) =
                wisp::spawn(settings, &egress.streams(), &stopped).context("cannot start the Wisp server")?;
            wisp = Some(Threads { stop, threads });
            wisp_handle = Some(handle);
        }
        let tls = config.tls.as_ref().map(tls::server_config).transpose()?;
        let tls = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        let connections = Arc::new(Semaphore::new(config.max_connections));
        let handles: Vec<LanHandle> = lans.iter().map(|lan| lan.handle.clone()).collect();
        let view = View {
            lans: handles.clone(),
            refusals: egress.refusals(),
            connections: Occupancy { free: Arc::clone(&connections), most: config.max_connections },
            wisp: wisp_handle.as_ref().map(WispHandle::occupancy),
        };
        let (control, reloads) = Control::new(&config.control, view.clone(), config.is_local);
        let control = Arc::new(control);
        let lasting = Lasting { connections, limits: Arc::clone(&limits), control: Arc::clone(&control) };
        let https_port = bound.addresses.https_port();
        let streams = egress.streams();
        let entrance = Entrance::new(config, handles, wisp_handle, tls, https_port, &streams, lasting)?;
        let entrance = Arc::new(entrance);
        let mut listening_for_control = Vec::new();
        let control_socket = bound.control.map(|socket| {
            let (stop, stopped) = watch::channel(false);
            listening_for_control.push(tokio::spawn(socket.serve(Arc::clone(&control), stopped)));
            Threads { stop, threads: Vec::new() }
        });
        let accept = |(listener, scheme)| tokio::spawn(Arc::clone(&entrance).accept(listener, scheme));
        let listening = bound.listeners.into_iter().map(accept).collect();
        let accept_qemu = |listener| tokio::spawn(Arc::clone(&entrance).accept_qemu(listener));
        let listening_for_qemu = bound.qemu.into_iter().map(accept_qemu).collect();
        Ok(Self {
            lans,
            egress,
            entrance,
            limits,
            listening,
            listening_for_qemu,
            listening_for_control,
            wisp,
            control,
            control_socket,
            view,
            reloads,
        })
    }

    /// Takes no new clients from now on: who speaks HTTP is told so, QEMU finds nobody.
    pub(super) async fn refuse_clients(&mut self) {
        self.entrance.stop();
        end(&mut self.listening_for_qemu).await;
    }

    /// Has the control API tell of the LANs that there are now.
    pub(super) fn show_lans(&self) {
        let lans = self.lans.iter().map(|lan| lan.handle.clone()).collect();
        self.control.set_view(View { lans, ..self.view.clone() });
    }

    /// Tells guests and clients to go, and hears no more of operators.
    pub(super) async fn stop(&mut self) {
        end(&mut self.listening_for_control).await;
        for threads in self.lans.iter().map(|lan| &lan.threads).chain(&self.wisp).chain(&self.control_socket)
        {
            threads.stop.send_replace(true);
        }
    }

    /// Closes what is left of the listeners.
    pub(super) async fn close(&mut self) {
        end(&mut self.listening).await;
    }

    /// Waits until all threads have ended.
    pub(super) async fn stopped(&self) {
        for threads in self.lans.iter().map(|lan| &lan.threads).chain(&self.wisp).chain(&self.control_socket)
        {
            threads.stop.closed().await;
        }
    }

    /// Whether any thread that has ended did so by a panic.
    pub(super) fn has_panicked(self) -> bool {
        let threads = self.lans.into_iter().map(|lan| lan.threads).chain(self.wisp);
        let ended = threads.flat_map(|threads| threads.threads).filter(JoinHandle::is_finished);
        ended.map(JoinHandle::join).filter(Result::is_err).count() > 0
    }
}

/// Ends tasks that listen. A listener is closed, and the file of a unix socket gone, once its task has ended.
async fn end(listening: &mut Vec<tokio::task::JoinHandle<()>>) {
    for task in listening.drain(..) {
        task.abort();
        // It says that it was ended.
        drop(task.await);
    }
}

impl Lan {
    /// Starts a LAN's thread. `forwards` lead to its guests, `taps` are joined to it.
    pub(super) fn start(
        settings: &LanSettings,
        egress: &Egress,
        limits: &Arc<Limits>,
        forwards: Vec<forward::Listener>,
        taps: Vec<Tap>,
    ) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (egress, limits) = (egress.lan(settings), Arc::clone(limits));
        let (handle, thread) = lan::spawn(settings.clone(), egress, limits, forwards, taps, stopped)
            .with_context(|| format!("cannot start LAN {}", settings.name))?;
        Ok(Self { handle, threads: Threads { stop, threads: vec![thread] } })
    }

    /// Tells its guests to go, and waits until they have.
    pub(super) async fn stop(self) {
        self.threads.stop.send_replace(true);
        self.threads.stop.closed().await;
    }
}
