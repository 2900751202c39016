//! One direction of one connection under the rates of its client, its address and its token.
//!
//! What moves is reserved with each of them, piece by piece, and moves when all have given it. All connections reserve pieces of the same
//! size with one party, so each has its share of a rate that they have in common, whoever has more to send.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::party::{CLIENT, Flux, Party};
use super::rate::{instant_of, ns_of};
use super::share::Share;

/// What may move at once after a silence, as time at the rate. A connection that is late by less loses nothing.
const BURST: Duration = Duration::from_millis(100);
/// Pieces that move in a second, of the sizes between.
const PIECES_PER_S: u64 = 256;
const PIECE_BYTES: (u64, u64) = (2 * 1024, 32 * 1024);

/// See the module's documentation. It is for one task alone.
#[derive(Debug)]
pub(crate) struct Lane {
    flux: Flux,
    accounts: Vec<Account>,
}

/// What a connection has of one party's rate.
#[derive(Debug)]
struct Account {
    party: Arc<Party>,
    /// Bytes that were given and have not moved; below 0 those that moved and were not given yet.
    credit_bytes: Cell<i64>,
    /// A reservation: how many bytes, and from when on.
    reserved: Cell<Option<(u64, u64)>>,
}

impl Lane {
    pub(super) fn new(flux: Flux, parties: &[Arc<Party>]) -> Self {
        let account = |party| Account {
            party: Arc::clone(party),
            credit_bytes: Cell::new(0),
            reserved: Cell::new(None),
        };
        Self { flux, accounts: parties.iter().map(account).collect() }
    }

    /// Whether it is under all that this share is. Of a proxy's requests each is counted as a client; those of one address and token are one's.
    pub(super) fn is_of(&self, share: &Share) -> bool {
        let shared =
            |party: &Arc<Party>| self.accounts.iter().any(|account| Arc::ptr_eq(&account.party, party));
        let mut others = share.parties.iter().filter(|party| party.kind != CLIENT).peekable();
        if others.peek().is_none() {
            return share.parties.iter().all(shared);
        }
        others.all(shared)
    }

    /// Whether no rate is in force.
    pub(crate) fn is_free(&self) -> bool {
        self.accounts.iter().all(|account| account.party.bounds.per_s(self.flux) == 0)
    }

    /// How many bytes may move now, or from when on some may.
    pub(crate) fn room(&self, now: Instant) -> Result<usize, Instant> {
        let mut room = Ok(usize::MAX);
        for account in &self.accounts {
            room = match (room, account.room(self.flux, now)) {
                (Ok(least), Ok(bytes)) => Ok(bytes.min(least)),
                (Err(latest), Err(at)) => Err(latest.max(at)),
                (Err(at), Ok(_)) | (Ok(_), Err(at)) => Err(at),
            };
        }
        room
    }

    /// So many bytes have moved. More than there was room for is waited for afterwards.
    pub(crate) fn spend(&self, bytes: usize) {
        for Account { credit_bytes, .. } in &self.accounts {
            credit_bytes.set(credit_bytes.get().saturating_sub_unsigned(bytes as u64));
        }
    }
}

impl Account {
    fn room(&self, flux: Flux, now: Instant) -> Result<usize, Instant> {
        let per_s = self.party.bounds.per_s(flux);
        if per_s == 0 {
            self.credit_bytes.set(0);
            self.reserved.set(None);
            return Ok(usize::MAX);
        }
        let credit = self.credit_bytes.get();
        if credit > 0 {
            return Ok(usize::try_from(credit).unwrap_or(usize::MAX));
        }
        let now_ns = ns_of(now);
        let (bytes, ready_ns) = self.reserved.take().unwrap_or_else(|| {
            let piece = (per_s / PIECES_PER_S).clamp(PIECE_BYTES.0, PIECE_BYTES.1);
            let bytes = piece.saturating_add(credit.unsigned_abs());
            (bytes, self.party.rate(flux).reserve(bytes, per_s, BURST, now_ns))
        });
        if ready_ns > now_ns {
            self.reserved.set(Some((bytes, ready_ns)));
            return Err(instant_of(ready_ns));
        }
        let credit = credit.saturating_add_unsigned(bytes);
        self.credit_bytes.set(credit);
        Ok(usize::try_from(credit).unwrap_or(usize::MAX))
    }
}

/// Waits until an instant, or for ever.
pub(crate) async fn reach(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
