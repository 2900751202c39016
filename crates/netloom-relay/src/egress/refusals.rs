//! What the policy refused: each rule on each way out is logged when it first refuses, then at ten times as often, and counted always.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use netloom_core::Rule;
use tracing::info;

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Flows of a LAN's guests.
    Nat,
    /// Streams of Wisp, and plain streams.
    Stream,
    /// Answers of DNS to guests.
    Dns,
}

impl Way {
    /// As metrics have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Stream => "stream",
            Self::Dns => "dns",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat => "a guest's connection",
            Self::Stream => "a stream",
            Self::Dns => "a DNS answer",
        })
    }
}

/// Refusals by way and rule. There are no more of these than rules, and those are configured.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<(Way, Rule), u64>>);

impl Refusals {
    /// `target` was refused by a rule.
    pub(super) fn count(&self, way: Way, rule: &Rule, target: &dyn fmt::Display) {
        let count = {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry((way, rule.clone())).or_default();
            *count += 1;
            *count
        };
        if count == 1 {
            info!("refused {way}: {target} ({rule}{}); more such are counted", remedy(rule));
        } else if is_power_of_ten(count) {
            info!("refused {way} {count} times: {rule}, the last to {target}");
        }
    }

    /// How often each rule refused on each way out.
    pub(crate) fn counts(&self) -> Vec<(Way, Rule, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((way, rule), count)| (*way, rule.clone(), *count)).collect()
    }
}

/// What to do about a refusal that was not meant.
const fn remedy(rule: &Rule) -> &'static str {
    match rule {
        Rule::Own | Rule::Denied(_) => "",
        _ => "; --allow opens it",
    }
}

const fn is_power_of_ten(mut count: u64) -> bool {
    while count >= 10 && count.is_multiple_of(10) {
        count /= 10;
    }
    count == 1
}

#[cfg(test)]
#[path = "refusals_tests.rs"]
mod tests;
