//! A guest that waits for us rather than we for it: a container in wasmtime, which speaks QEMU's framing on a socket that it listens on.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::lan::resume::Origin;
use crate::lan::{Encapsulation, LanHandle, NewClient};
use crate::limit::Share;
use crate::socket::{self, Detached};

/// How often a container that was just started is tried, once a second.
const ATTEMPTS: u32 = 10;
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(1);
/// What runs containers.
const WASMTIME: &str = "wasmtime";

/// A guest to connect to.
#[derive(Debug, PartialEq, Eq)]
pub struct Outgoing {
    address: String,
    /// Arguments of wasmtime, if it is to be run.
    wasmtime: Option<Vec<String>>,
}

impl Outgoing {
    /// One that waits at `address`, a host and its port.
    #[must_use]
    pub fn connect(address: &str) -> Self {
        Self { address: address.to_owned(), wasmtime: None }
    }

    /// One that is to be run in wasmtime: its file, and what it is told. It waits at `address`.
    #[must_use]
    pub fn invoke(address: &str, is_old_cli: bool, image: &[String]) -> Self {
        let listen = if is_old_cli { [].as_slice() } else { ["-S", "preview2=n", "-S"].as_slice() };
        let flag = if is_old_cli { "--tcplisten=" } else { "tcplisten=" };
        // The quotes are c2w-net's.
        let fixed = ["run"].iter().chain(listen).map(|text| (*text).to_owned());
        let socket = [format!("{flag}{address}"), "--env='LISTEN_FDS=1'".to_owned(), "--".to_owned()];
        Self {
            address: address.to_owned(),
            wasmtime: Some(fixed.chain(socket).chain(image.iter().cloned()).collect()),
        }
    }

    /// Serves the guest until it is gone; answers how its program ended, if we ran one.
    pub(crate) async fn serve(self, lan: &LanHandle) -> anyhow::Result<Option<ExitStatus>> {
        let Some(arguments) = self.wasmtime else {
            let stream = TcpStream::connect(&self.address)
                .await
                .with_context(|| format!("cannot connect to {}: start the container first", self.address))?;
            join(lan, stream, &self.address).await?;
            return Ok(None);
        };
        let mut child = Command::new(WASMTIME)
            .args(arguments)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {WASMTIME}: install it, and have it in PATH"))?;
        tokio::select! {
            status = child.wait() => return Ok(Some(status?)),
            served = connect_and_join(lan, &self.address) => served?,
        }
        wait(child).await.map(Some)
    }
}

async fn wait(mut child: Child) -> anyhow::Result<ExitStatus> {
    Ok(child.wait().await?)
}

async fn connect_and_join(lan: &LanHandle, address: &str) -> anyhow::Result<()> {
    for _ in 0..ATTEMPTS {
        sleep(ATTEMPT_INTERVAL).await;
        match TcpStream::connect(address).await {
            Ok(stream) => return join(lan, stream, address).await,
            Err(error) => debug!("{address}: {error}"),
        }
    }
    bail!("the container does not listen on {address}; it has to be one that was made for a network")
}

/// Has the guest join a LAN; returns when it has left.
async fn join(lan: &LanHandle, stream: TcpStream, peer: &str) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    socket::keep_alive(&stream)?;
    let here = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&here).try_acquire_owned()?;
    let Some(slot) = lan.slot() else { bail!("the LAN has no room for a guest: raise max_clients") };
    // A LAN that has stopped drops its channel; the socket closes with it.
    drop(lan.sender().send(NewClient {
        socket: Detached::Tcp(stream.into_std()?),
        encapsulation: Encapsulation::Qemu,
        read: Bytes::new(),
        peer: peer.to_owned(),
        pass: None,
        share: Share::default(),
        origin: Origin::default(),
        permits: (Arc::new(permit), slot),
    }));
    // Its permit comes back with its end.
    drop(here.acquire().await);
    warn!("{peer}: the guest has left");
    Ok(())
}
