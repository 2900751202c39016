//! Who may use the relay, where tokens are asked for: a live view of the tokens file.
//!
//! The file is read anew when it has changed, which every use looks for, and once a second for clients that are connected. Tokens are
//! compared by their hashes, with every token that there is and in constant time.

pub mod command;
pub(crate) mod secret;
#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::ConfigError;
use crate::config::tokens::{self, Rules, Token};
use secret::{Hash, Secret};

/// How long a connected client may stay after its token was revoked.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// The tokens in effect.
#[derive(Debug)]
pub(crate) struct Access {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stamp: Option<Stamp>,
    /// What was said of the file when it was read last, if it could not be.
    complaint: Option<String>,
    grants: Vec<Arc<Grant>>,
}

/// By what a file shows that it is another: every writer of ours replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_ns: (i64, i64),
}

/// What a token gives, for as long as it is not revoked.
#[derive(Debug)]
pub(crate) struct Grant {
    name: String,
    hash: Hash,
    /// `None` once it is revoked.
    rules: watch::Sender<Option<Arc<Rules>>>,
}

/// A token in use: what it gives, and word of when that changes.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    grant: Arc<Grant>,
    rules: watch::Receiver<Option<Arc<Rules>>>,
}

impl Pass {
    /// The token's name.
    pub(crate) fn name(&self) -> &str {
        &self.grant.name
    }

    /// What it gives now; `None` once it is revoked.
    pub(crate) fn rules(&self) -> Option<Arc<Rules>> {
        self.rules.borrow().clone()
    }

    /// Waits until it gives something else, or nothing.
    pub(crate) async fn changed(&mut self) {
        if self.rules.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Waits until what a client was admitted by changes; for ever without tokens.
pub(crate) async fn changed(pass: &mut Option<Pass>) {
    match pass {
        Some(pass) => pass.changed().await,
        None => std::future::pending().await,
    }
}

impl Access {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, and the fix.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, ConfigError> {
        let stamp = stamp(path);
        let grants = tokens::read(path)?.into_iter().map(Grant::new).collect();
        Ok(Arc::new(Self {
            path: path.to_owned(),
            state: Mutex::new(State { stamp, complaint: None, grants }),
        }))
    }

    /// What a token gives; `None` if there is no such token.
    pub(crate) fn check(&self, secret: &Secret) -> Option<Pass> {
        // What is wrong with the file was said.
        drop(self.refresh());
        let hash = secret.hash();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for grant in &state.grants {
            if bool::from(grant.hash.ct_eq(&hash)) {
                found = Some(grant);
            }
        }
        found.map(|grant| Pass { grant: Arc::clone(grant), rules: grant.rules.subscribe() })
    }

    /// Reads the file anew if it has changed; tells whether it had. One that is wrong is told once, and changes nothing.
    ///
    /// # Errors
    /// What is wrong with it, and the fix.
    pub(crate) fn refresh(&self) -> Result<bool, ConfigError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.path);
        if state.stamp == stamp {
            return Ok(false);
        }
        state.stamp = stamp;
        let tokens = match tokens::read(&self.path) {
            Ok(tokens) => tokens,
            Err(error) => {
                let complaint = error.to_string();
                if state.complaint.as_ref() != Some(&complaint) {
                    warn!("the tokens stay as they were: {complaint}");
                }
                state.complaint = Some(complaint);
                return Err(error);
            }
        };
        state.complaint = None;
        let count = tokens.len();
        let mut old = std::mem::take(&mut state.grants);
        for token in tokens {
            match old.iter().position(|grant| grant.hash == token.hash && grant.name == token.name) {
                Some(at) => {
                    let grant = old.swap_remove(at);
                    grant.rules.send_if_modified(|rules| {
                        let differs = rules.as_deref() != Some(&token.rules);
                        if differs {
                            *rules = Some(Arc::new(token.rules));
                        }
                        differs
                    });
                    state.grants.push(grant);
                }
                None => state.grants.push(Grant::new(token)),
            }
        }
        for grant in old {
            info!("token {} is revoked", grant.name);
            grant.rules.send_replace(None);
        }
        info!("{count} tokens are in effect");
        Ok(true)
    }

    /// Has a file read again that could not be: what was wrong may be with this process, such as descriptors that it lacked.
    fn doubt(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.complaint.is_some() {
            state.stamp = None;
        }
    }

    /// Looks after the file for as long as it is polled and the relay asks for tokens.
    pub(crate) async fn watch(access: Weak<Self>) {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            let Some(access) = access.upgrade() else { return };
            access.doubt();
            // What is wrong with the file was said.
            drop(access.refresh());
        }
    }
}

impl Grant {
    fn new(token: Token) -> Arc<Self> {
        let Token { name, hash, rules, .. } = token;
        Arc::new(Self { name, hash, rules: watch::Sender::new(Some(Arc::new(rules))) })
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some(Stamp { inode: file.ino(), bytes: file.len(), modified_ns: (file.mtime(), file.mtime_nsec()) })
}
