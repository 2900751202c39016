//! DNS over HTTPS under limits: a query takes a socket of ours for as long as its servers take to answer.

use http::{Request, StatusCode};
use hyper::body::Incoming;

use super::limits::Caller;
use super::page::{self, Answer};
use super::visitor::Visitor;
use crate::doh;

/// Queries that the relay has open at once: each takes 64 KiB for its answer.
pub(super) const MAX_QUERIES: usize = 512;
/// Those of one connection; further ones wait for these.
pub(super) const MAX_QUERIES_OF_CONNECTION: usize = 32;
/// After how many seconds another attempt makes sense.
const RETRY_S: u64 = 5;

impl Visitor {
    /// Answers a query that has passed the gate.
    pub(super) async fn ask_dns(&self, request: Request<Incoming>, caller: &Caller) -> Answer {
        // Neither is ever closed.
        let _of_connection = self.queries.acquire().await.ok();
        let _of_caller = caller.share.dial().await;
        let Ok(_of_all) = self.entrance.queries.try_acquire() else {
            let text = "the relay has as many DNS queries open as it may: ask again later\n";
            return page::later(StatusCode::SERVICE_UNAVAILABLE, text, RETRY_S);
        };
        doh::answer(&self.entrance.dns.under(Some(&caller.rules)), request).await
    }
}
