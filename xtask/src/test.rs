//! `cargo xtask test`: runs groups, shows what failed, and ends with the count.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::groups::{GROUPS, Group, Tier};
use crate::tally::Tally;

/// Lines of a failed step's output that are shown.
const SHOWN_LINES: usize = 120;

/// Runs all groups, or `only` one; answers whether all passed.
pub(crate) fn run(tier: Tier, only: Option<&str>) -> Result<bool> {
    let groups: Vec<&Group> =
        GROUPS.iter().filter(|group| only.is_none_or(|name| name == group.name)).collect();
    if groups.is_empty() {
        let names: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
        bail!("there is no group {}; use one of {}", only.unwrap_or_default(), names.join(", "));
    }
    let mut total = Tally::default();
    for group in groups {
        let begin = Instant::now();
        let mut tally = Tally::default();
        for report in group.reports(tier) {
            tally += report.tally;
            if report.tally.failed > 0 {
                println!("--- {}: {} failed", group.name, report.what);
                println!("{}", tail(&report.output));
            }
        }
        let seconds = begin.elapsed().as_secs();
        println!("{:8} {:4} passed, {} failed, {seconds} s", group.name, tally.passed, tally.failed);
        total += tally;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

/// The end of a long output, where runners say what failed.
fn tail(output: &str) -> String {
    let lines: Vec<_> = output.trim_end().lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}
