//! A relay and the targets of its Wisp streams, in one namespace.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::client::Client as Load;
use super::target::{Behaviour, Targets};
use crate::client::Client;
use crate::lab::alone;
use crate::namespace::Namespace;
use crate::relay::Relay;

/// The path of Wisp.
pub const PATH: &str = "/wisp/";

/// A relay that may dial its own host. Fields are dropped in order: what uses a thing before the thing.
#[derive(Debug)]
pub struct Stage {
    /// What streams lead to.
    pub targets: Targets,
    /// The program under test.
    pub relay: Relay,
    /// Where everything is.
    pub namespace: Namespace,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Stage {
    /// Sets everything up; the calling thread stays in the namespace.
    ///
    /// # Errors
    /// When the test is not run as root, or the relay does not start.
    pub fn new(arguments: &[&str]) -> Result<Self> {
        let alone = alone();
        let namespace = Namespace::new()?;
        // Ten thousand streams have ten thousand ports.
        namespace.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
        let relay = Relay::start(&namespace, &[&["--allow", "127.0.0.0/8"], arguments].concat())?;
        namespace.enter()?;
        Ok(Self { targets: Targets::start()?, relay, namespace, _alone: alone })
    }

    /// A client that keeps to the specification.
    ///
    /// # Errors
    /// When the relay does not greet it.
    pub fn join(&self) -> Result<Load> {
        Load::connect(self.relay.address(), PATH)
    }

    /// A client that sends whatever it is told, without a word of its own.
    ///
    /// # Errors
    /// When the relay does not take it.
    pub fn join_raw(&self) -> Result<Client> {
        Client::connect(&self.namespace, self.relay.address(), PATH)
    }

    /// Has a newcomer's stream echo what it sends.
    ///
    /// # Errors
    /// When the relay has ended, or does not serve a newcomer.
    pub fn serves(&mut self) -> Result<()> {
        ensure!(self.relay.is_running(), "the relay ended: {}", self.relay.output().join("\n"));
        let mut client = self.join()?;
        let stream = client.open(self.targets.port(Behaviour::Echo));
        client.send(stream, b"still there?");
        client.wait_until(|client| client.streams()[stream].received == 12)
    }

    /// By how many bytes the relay's resident memory grew since `before`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn grown_bytes(&self, before: u64) -> Result<u64> {
        Ok(self.relay.resident_bytes()?.saturating_sub(before))
    }

    /// Waits until the relay has no more descriptors open than that; how long it takes is not judged.
    ///
    /// # Errors
    /// When it keeps them.
    pub fn wait_for_open_files(&self, most: usize) -> Result<()> {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let open = self.relay.open_files()?;
            if open <= most {
                return Ok(());
            }
            ensure!(std::time::Instant::now() < deadline, "{open} descriptors are open, not {most}");
            std::thread::yield_now();
        }
    }
}
