//! Filters of captures: the part of pcap-filter(7) that people type, with its meaning.
//!
//! ```text
//! text ─▶ lex ─▶ parse ─▶ steps (postfix) ─▶ matches(frame)
//! ```
//!
//! - `[ip|ip6|arp|rarp|ether] [src|dst|src or dst|src and dst] host ADDRESS`, and `net NET[/BITS]` or `net NET mask MASK`; `ether host MAC`
//! - `[tcp|udp|sctp] [src|dst|…] port PORT` and `portrange FIRST-LAST`, the port also by its usual name
//! - `ether|ip|ip6 proto PROTOCOL`, or a protocol alone: `ether`, `ip`, `ip6`, `arp`, `rarp`, `tcp`, `udp`, `sctp`, `icmp`, `icmp6`, `igmp`
//! - `[ether|ip|ip6] multicast`, `[ether] broadcast`, `less BYTES`, `greater BYTES`, `inbound`, `outbound`
//! - `not` or `!`, `and` or `&&`, `or` or `||` (these two bind alike, from the left), and parentheses. A value alone takes the words before the
//!   last one: `tcp dst port 80 or 443`.
//!
//! Beyond libpcap, ports and protocols of IPv6 are found behind its extension headers. Names of hosts are not resolved.

mod lex;
mod names;
mod packet;
mod parse;
mod test;
#[cfg(test)]
mod tests;

use std::fmt;

use super::pcapng::Direction;
use packet::Packet;
use test::Test;

/// A filter.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    text: String,
    steps: Vec<Step>,
}

/// Why a text is no filter: what is wrong, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FilterError(String);

fn wrong(message: impl Into<String>) -> FilterError {
    FilterError(message.into())
}

/// A step of the judgement of a frame, which is on a stack of truth values.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Test(Test),
    Not,
    And,
    Or,
}

impl Filter {
    /// Reads a filter; `None` if the text says nothing, which every frame matches.
    ///
    /// # Errors
    /// The first mistake.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        let steps = parse::parse(text)?;
        Ok((!steps.is_empty()).then(|| Self { text: text.trim().to_owned(), steps }))
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a frame passes.
    pub(crate) fn matches(&self, frame: &[u8], direction: Direction) -> bool {
        let packet = Packet::of(frame, direction);
        // One bit for each value: the parser bounds how many there are at a time.
        let mut stack: u64 = 0;
        for step in &self.steps {
            stack = match step {
                Step::Test(test) => stack << 1 | u64::from(test.holds(&packet)),
                Step::Not => stack ^ 1,
                Step::And => (stack >> 1) & (stack | !1),
                Step::Or => (stack >> 1) | (stack & 1),
            };
        }
        stack & 1 != 0
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.text)
    }
}
