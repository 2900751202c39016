//! The requests of a connection of version 2, which has no other sign of use: its first may take as long as a head of version 1, and without
//! any open it stays a while for the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long the first request may take.
const FIRST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection stays on which none is open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long who has asked for nothing has to go by itself once it is told to.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// The requests of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Arc<watch::Sender<Count>>);

#[derive(Debug, Default)]
struct Count {
    begun: u64,
    open: usize,
}

/// A request, until it is answered.
#[derive(Debug)]
pub(super) struct Open(Requests);

impl Requests {
    pub(super) fn begin(&self) -> Open {
        self.0.send_modify(|count| {
            count.begun += 1;
            count.open += 1;
        });
        Open(self.clone())
    }

    /// Waits until none has been open for too long.
    pub(super) async fn idle(&self) {
        let mut count = self.0.subscribe();
        let mut seen = 0;
        loop {
            let patience = if seen == 0 { FIRST_TIMEOUT } else { IDLE_TIMEOUT };
            // The sender is ours and outlives this.
            match timeout(patience, count.wait_for(|count| count.begun != seen)).await {
                Ok(Ok(count)) => seen = count.begun,
                Ok(Err(_)) | Err(_) => return,
            }
            drop(count.wait_for(|count| count.open == 0).await);
        }
    }

    /// Waits until who was told to go has been left enough time, if it has never asked for anything; for ever if it has.
    pub(super) async fn never_came(&self) {
        let mut count = self.0.subscribe();
        if timeout(FAREWELL_TIMEOUT, count.wait_for(|count| count.begun > 0)).await.is_ok() {
            std::future::pending().await
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| count.open -= 1);
    }
}
