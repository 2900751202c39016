//! `cargo xtask fuzz --minutes`: fuzzes for so much processor time, and prints how coverage grew with it as a table.
//!
//! Processor time and not the clock's, so that a machine that is busy beside does not fuzz less.

use std::io::{BufRead as _, BufReader};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::Step;
use crate::processor;

/// What a line of libFuzzer says.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    inputs: u64,
    edges: u64,
    features: u64,
    corpus: u64,
}

impl Progress {
    /// Reads a line such as `#4096 pulse  cov: 812 ft: 2113 corp: 92/1033b exec/s: 2048 rss: 40Mb`.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let inputs = words.next()?.strip_prefix('#')?.parse().ok()?;
        let words: Vec<&str> = words.collect();
        let behind = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.split('/').next()?.parse().ok()
        };
        Some(Self { inputs, edges: behind("cov:")?, features: behind("ft:")?, corpus: behind("corp:")? })
    }
}

/// Runs a target for so many minutes of processor time.
///
/// # Errors
/// If it ends by itself, which is what a finding does.
pub(crate) fn run(step: Step, minutes: u64) -> Result<()> {
    let (mut child, output) = step.spawn()?;
    let latest = Arc::new(Mutex::new(Progress::default()));
    let reader = {
        let latest = Arc::clone(&latest);
        thread::spawn(move || {
            let mut tail = Vec::new();
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match Progress::read(&line) {
                    Some(progress) => *latest.lock().unwrap_or_else(PoisonError::into_inner) = progress,
                    None => tail.push(line),
                }
            }
            tail
        })
    };
    println!("| processor minutes | inputs | edges | features | corpus |");
    println!("|---|---|---|---|---|");
    let mut next = 1;
    while next <= minutes {
        thread::sleep(Duration::from_secs(1));
        if let Some(status) = child.try_wait()? {
            let tail = reader.join().unwrap_or_default().join("\n");
            bail!("it ended after {} minutes ({status}):\n{tail}", next - 1);
        }
        while next <= minutes && processor::time(child.id())?.own.as_secs() >= next * 60 {
            let Progress { inputs, edges, features, corpus } =
                *latest.lock().unwrap_or_else(PoisonError::into_inner);
            println!("| {next} | {inputs} | {edges} | {features} | {corpus} |");
            next += 1;
        }
    }
    // What libFuzzer takes for a wish to end in order.
    Step::new("kill").args(["-USR1", &child.id().to_string()]).quiet()?;
    let status = child.wait()?;
    let tail = reader.join().unwrap_or_default();
    if !status.success() {
        bail!("it ended with {status}:\n{}", tail.join("\n"));
    }
    for line in tail.iter().filter(|line| line.starts_with("stat::")) {
        println!("{line}");
    }
    Ok(())
}
