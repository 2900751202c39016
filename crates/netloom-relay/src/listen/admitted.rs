//! The token that a request is let in by, with what it gave at that moment: one that is revoked meanwhile gives no more than that.

use std::sync::Arc;

use super::page::Unauthorized;
use crate::access::Pass;
use crate::config::tokens::Rules;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) pass: Pass,
    pub(super) rules: Arc<Rules>,
}

impl Admitted {
    /// # Errors
    /// The token was revoked since it was found.
    pub(super) fn by(pass: Pass) -> Result<Self, Unauthorized> {
        let rules = pass.rules().ok_or(Unauthorized::Unknown)?;
        Ok(Self { pass, rules })
    }
}

#[cfg(test)]
#[path = "admitted_tests.rs"]
mod tests;
