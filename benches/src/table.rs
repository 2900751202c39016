//! What a benchmark prints: a row per case with a ratio, as a table for people or as one JSON object per line for programs.

use serde::Serialize;

/// One case.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The benchmark.
    pub bench: &'static str,
    /// The case within it.
    pub case: String,
    /// The unit of both figures.
    pub unit: &'static str,
    /// Our figure.
    pub ours: f64,
    /// The figure that ours is compared with.
    pub peer: f64,
    /// Whose it is.
    pub peer_name: String,
    /// Above 1 where we are ahead.
    pub ratio: f64,
}

impl Row {
    /// A case where more is better.
    #[must_use]
    pub fn more_is_better(
        bench: &'static str,
        case: String,
        unit: &'static str,
        ours: f64,
        peer: (&str, f64),
    ) -> Self {
        Self { bench, case, unit, ours, peer: peer.1, peer_name: peer.0.to_owned(), ratio: ours / peer.1 }
    }

    /// A case where less is better: a time, a size.
    #[must_use]
    pub fn less_is_better(
        bench: &'static str,
        case: String,
        unit: &'static str,
        ours: f64,
        peer: (&str, f64),
    ) -> Self {
        Self { bench, case, unit, ours, peer: peer.1, peer_name: peer.0.to_owned(), ratio: peer.1 / ours }
    }
}

/// Prints a row at once: benchmarks take long, and what was measured should be seen.
///
/// # Errors
/// If the row holds a figure that is no number.
pub fn print(row: &Row, json: bool) -> Result<(), serde_json::Error> {
    if json {
        println!("{}", serde_json::to_string(row)?);
    } else {
        let Row { case, unit, ours, peer, peer_name, ratio, .. } = row;
        println!("{case:<44} {ours:>10.3} {peer:>10.3} {unit:<12} {ratio:>7.2}  {peer_name}");
    }
    Ok(())
}

/// Prints the table's head.
pub fn head() {
    println!("{:<44} {:>10} {:>10} {:<12} {:>7}  peer", "case", "ours", "peer", "unit", "ratio");
}
