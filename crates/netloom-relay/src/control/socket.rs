//! The unix socket of the control API: where it is, who gets it, and serving it.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tracing::{debug, info, warn};

use super::{Control, Door};
use crate::config::ControlAddress;
use crate::listen::{SocketFile, bind_unix, is_transient};

/// Connections that may be open at once.
const MAX_CONNECTIONS: usize = 128;
/// How long a request head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting rests when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const FILE_NAME: &str = "netloom.sock";
/// Where the service of `dist/netloom.service` listens.
const SERVICE_PATH: &str = "/run/netloom/netloom.sock";

/// A bound control socket, whose file goes with it.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// The control socket that was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on unix:{path} ({error}): {fix}")]
pub(crate) struct SocketError {
    path: String,
    error: io::Error,
    fix: &'static str,
}

impl ControlSocket {
    /// Binds the control socket, on this thread's runtime. One that nobody asked for is done without where it cannot be had.
    ///
    /// # Errors
    /// The one that was asked for cannot be had.
    pub(crate) fn bind(address: &ControlAddress) -> Result<Option<Self>, SocketError> {
        match address {
            ControlAddress::Off => Ok(None),
            ControlAddress::Unix(path) => Self::bind_at(path).map(Some).map_err(|error| SocketError {
                path: path.display().to_string(),
                fix: match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        "another relay listens there, or a file is there: end it, or choose another path with --control"
                    }
                    _ => "choose a folder of your own with --control unix:PATH, or --control off",
                },
                error,
            }),
            ControlAddress::Default => Ok(Self::bind_default()),
        }
    }

    fn bind_default() -> Option<Self> {
        let path = default_path();
        if let Err(error) = make_folder(&path) {
            warn!("no control socket: {error}; choose a path with --control unix:PATH");
            return None;
        }
        match Self::bind_at(&path) {
            Ok(socket) => Some(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                info!(
                    "no control socket: another relay has {}; --control unix:PATH gives this one its own",
                    path.display()
                );
                None
            }
            Err(error) => {
                warn!(
                    "no control socket at {}: {error}; choose a path with --control unix:PATH",
                    path.display()
                );
                None
            }
        }
    }

    fn bind_at(path: &Path) -> io::Result<Self> {
        let (listener, file) = bind_unix(path)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, file })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Answers for as long as it is polled; what it has begun to answer ends when the relay stops.
    pub(crate) async fn serve(self, control: Arc<Control>, stop: watch::Receiver<bool>) {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // The socket's queue holds who comes while all are taken.
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (control, stop) = (Arc::clone(&control), stop.clone());
                    tokio::spawn(async move {
                        serve(control, stream, stop).await;
                        drop(permit);
                    });
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    warn!("cannot accept on the control socket: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(control: Arc<Control>, stream: UnixStream, mut stop: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let control = Arc::clone(&control);
        async move { Ok::<_, Infallible>(control.answer(Door::Socket, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let stopping = async {
        let _told = stop.wait_for(|stop| *stop).await.is_ok();
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!("control socket: {error}");
    }
}

/// Where a relay of ours listens that was told nothing, a folder of its own where systemd gave it one.
fn default_path() -> PathBuf {
    let runtime_folders = ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"].into_iter().filter_map(std::env::var_os);
    let user = rustix::process::geteuid();
    let mut runtime_folders = runtime_folders.map(PathBuf::from);
    match runtime_folders.find(|folder| folder.is_absolute() && folder.is_dir()) {
        Some(folder) => folder.join(FILE_NAME),
        None if user.is_root() => Path::new("/run").join(FILE_NAME),
        None => std::env::temp_dir().join(format!("netloom-{}", user.as_raw())).join(FILE_NAME),
    }
}

/// Where a command looks for a relay: where one of this user listens, else where the system's service does.
pub(crate) fn found_path() -> PathBuf {
    let own = default_path();
    let service = Path::new(SERVICE_PATH);
    if !own.exists() && service.exists() { service.to_owned() } else { own }
}

/// Makes the folder of the default socket if it is one of ours, for us alone.
fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| folder.starts_with(std::env::temp_dir())) else {
        return Ok(());
    };
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = std::fs::symlink_metadata(folder)?;
    // Whoever made it first could replace the socket in it.
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("{} is somebody else's, or others may write there", folder.display())))
}
