//! What the steps of a run of tests took, as a table below `target`.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::process::Took;

/// A step of a group, and what it took.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) what: String,
    pub(crate) took: Took,
}

/// Writes the table, what the processors spent most on first; answers where.
pub(crate) fn write(rows: &[Row]) -> Result<PathBuf> {
    let path = crate::root().join("target/test-times.md");
    fs::write(&path, table(rows))?;
    Ok(path)
}

fn table(rows: &[Row]) -> String {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.took.processor));
    let mut table = "| processor, s | clock, s | group | step |\n|---:|---:|---|---|\n".to_owned();
    for Row { group, what, took } in rows {
        let [processor, clock] = [took.processor, took.clock].map(|time| time.as_secs_f64());
        table += &format!("| {processor:.1} | {clock:.1} | {group} | {what} |\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Row, table};
    use crate::process::Took;

    #[test]
    fn what_spent_most_comes_first() {
        let row = |what: &str, processor| Row {
            group: "unit",
            what: what.to_owned(),
            took: Took { clock: Duration::from_millis(2500), processor: Duration::from_millis(processor) },
        };
        let table = table(&[row("a", 1000), row("b", 1250)]);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(rows, ["| 1.2 | 2.5 | unit | b |", "| 1.0 | 2.5 | unit | a |"]);
    }
}
