//! `cargo xtask test`: runs groups, shows what failed, and ends with the count.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::groups::{GROUPS, Group, Tier};
use crate::process::{Took, Watch};
use crate::processor::Machine;
use crate::tally::Tally;
use crate::times::{self, Row};

/// Lines of a failed step's output that are shown.
const SHOWN_LINES: usize = 120;

/// Groups at the same time: much of a group's time is that of a single thread, or none's.
const LANES: usize = 3;

/// Runs all groups, or `only` one; answers whether all passed.
pub(crate) fn run(tier: Tier, only: Option<&str>) -> Result<bool> {
    let groups: VecDeque<&Group> =
        GROUPS.iter().filter(|group| only.is_none_or(|name| name == group.name)).collect();
    if groups.is_empty() {
        let names: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
        bail!("there is no group {}; use one of {}", only.unwrap_or_default(), names.join(", "));
    }
    let machine = Machine::now()?;
    let groups = Mutex::new(groups);
    let total = Mutex::new((Tally::default(), Vec::new()));
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (groups, total) = (&groups, &total);
            scope.spawn(move || {
                while let Some(group) = next(groups, lane) {
                    let (tally, rows, said) = run_group(group, tier);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    // While we hold the total, so that what one group says stays together.
                    print!("{said}");
                    total.0 += tally;
                    total.1.extend(rows);
                }
            });
        }
    });
    let (total, rows) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let spent: Duration = rows.iter().map(|row| row.took.processor).sum();
    let busy = Machine::now()?.busy_since(machine);
    let table = times::write(&rows)?;
    println!(
        "{} s of processor time, by step in {}; the processors were busy {busy} % of the time",
        spent.as_secs(),
        table.display()
    );
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

/// The next group of a lane: one lane takes from the front, since cargo builds one thing at a time, the others from the back.
fn next<'a>(groups: &Mutex<VecDeque<&'a Group>>, lane: usize) -> Option<&'a Group> {
    let mut groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
    if lane == 0 { groups.pop_front() } else { groups.pop_back() }
}

/// What a group came to, what its steps took, and the lines that tell of it.
fn run_group(group: &Group, tier: Tier) -> (Tally, Vec<Row>, String) {
    let watch = Watch::start();
    let mut tally = Tally::default();
    let mut failures = String::new();
    let mut rows = Vec::new();
    for report in group.reports(tier) {
        tally += report.tally;
        if report.tally.failed > 0 {
            failures += &format!("--- {}: {} failed\n{}\n", group.name, report.what, tail(&report.output));
        }
        rows.push(Row { group: group.name, what: report.what, took: report.took });
    }
    let took = watch.took();
    let steps = |part: fn(Took) -> Duration| rows.iter().map(|row| part(row.took)).sum::<Duration>();
    rows.push(Row {
        group: group.name,
        what: "set-up".to_owned(),
        took: Took {
            clock: took.clock.saturating_sub(steps(|took| took.clock)),
            processor: took.processor.saturating_sub(steps(|took| took.processor)),
        },
    });
    let (seconds, spent) = (took.clock.as_secs(), took.processor.as_secs());
    let line = format!(
        "{:12} {:4} passed, {} failed, {seconds} s, {spent} s of processor time",
        group.name, tally.passed, tally.failed
    );
    (tally, rows, format!("{failures}{line}\n"))
}

/// What TAP says of the tests that failed; of other outputs the end, where runners say it.
fn tail(output: &str) -> String {
    let mut lines: Vec<_> = output.trim_end().lines().collect();
    if lines.iter().any(|line| line.starts_with("not ok ")) {
        let mut failed = false;
        lines.retain(|line| {
            failed = match line {
                _ if line.starts_with("not ok ") => true,
                _ if line.starts_with("ok ") || line.starts_with("# ") => false,
                _ => failed,
            };
            failed
        });
    }
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn of_tap_the_failed_tests_are_shown() {
        let output = "TAP version 13\nnot ok 1 - a\n  why\n# Subtest: b\nok 2 - b\n  ---\n1..2\n# fail 1\n";
        assert_eq!(tail(output), "not ok 1 - a\n  why");
    }

    #[test]
    fn of_other_outputs_the_end_is_shown() {
        let lines: Vec<_> = (0..300).map(|n| n.to_string()).collect();
        assert_eq!(tail(&lines.join("\n")), lines[180..].join("\n"));
    }
}
