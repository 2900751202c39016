//! `docs/rfc.md` says by which test each rule of the RFCs is held: that those tests are there, that no rule is without and that no script is
//! left out.

#![expect(clippy::expect_used, reason = "what fails here fails a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a rule without a test begins its last column with: why it has none. What departs from a rule has a test, and says why too.
const NO_TEST: &str = "does not apply: ";
const DEPARTS: &str = "departs: ";
/// Rows that the table has at least: fewer would mean that it was not read.
const LEAST_ROWS: usize = 250;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The rows of the tables: line number, section, rule and what holds it.
fn rows(text: &str) -> Vec<(usize, [&str; 3])> {
    let lines = text.lines().enumerate().filter(|(_, line)| line.starts_with("| "));
    lines
        .filter_map(|(at, line)| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let cells: [&str; 3] =
                cells.try_into().unwrap_or_else(|_| panic!("line {}: not three columns", at + 1));
            (cells[2] != "held by").then_some((at + 1, cells))
        })
        .collect()
}

/// The titles of the scripts, by file.
fn titles() -> BTreeMap<String, Vec<String>> {
    let folder = root().join("crates/netloom-sim/tests/scripts");
    let mut titles = BTreeMap::new();
    for entry in folder.read_dir().expect("the scripts") {
        let path = entry.expect("a script").path();
        let text = std::fs::read_to_string(&path).expect("a script");
        let scripts = netloom_sim::script::parse(&text);
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        titles.insert(name, scripts.into_iter().map(|script| script.title).collect());
    }
    titles
}

/// What is wrong with a reference; the script that it names in full, if it does, is noted.
fn check(
    reference: &str,
    [section, rule, _]: [&str; 3],
    titles: &BTreeMap<String, Vec<String>>,
    named: &mut BTreeSet<(String, String)>,
) -> Result<(), String> {
    let (file, what) = reference.split_once(": ").unwrap_or((reference, ""));
    if let Some(scripts) = titles.get(file) {
        if !what.is_empty() {
            let found = scripts.iter().any(|title| title.starts_with(what));
            return if found { Ok(()) } else { Err(format!("no script of {file} begins with {what:?}")) };
        }
        let title = if section.is_empty() { rule.to_owned() } else { format!("{section}: {rule}") };
        if !scripts.contains(&title) {
            return Err(format!("{file} has no script {title:?}"));
        }
        named.insert((file.to_owned(), title));
        return Ok(());
    }
    let text = std::fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
    let function = format!("fn {what}(");
    let Some((before, _)) = text.split_once(&function) else {
        return Err(format!("{file} has no test {what}"));
    };
    let attribute = before.trim_end().rsplit('\n').next().unwrap_or_default().trim();
    if attribute == "#[test]" { Ok(()) } else { Err(format!("{what} of {file} is no test")) }
}

#[test]
fn every_rule_has_its_test_and_every_script_its_rule() {
    let text = std::fs::read_to_string(root().join("docs/rfc.md")).expect("the table");
    let titles = titles();
    let (mut wrong, mut named) = (Vec::new(), BTreeSet::new());
    let rows = rows(&text);
    for (line, row) in &rows {
        let held = row[2];
        let references: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        if references.is_empty() && !held.starts_with(NO_TEST) {
            wrong.push(format!("line {line}: nothing holds it"));
        }
        if !references.is_empty() && !held.starts_with('`') && !held.starts_with(DEPARTS) {
            wrong.push(format!("line {line}: neither a test nor a departure"));
        }
        for reference in references {
            if let Err(what) = check(reference, *row, &titles, &mut named) {
                wrong.push(format!("line {line}: {what}"));
            }
        }
    }
    for (file, scripts) in &titles {
        let missing = scripts.iter().filter(|title| !named.contains(&(file.clone(), (*title).clone())));
        wrong.extend(missing.map(|title| format!("{file}: {title:?} is not in the table")));
    }
    assert!(wrong.is_empty(), "docs/rfc.md:\n{}", wrong.join("\n"));
    assert!(rows.len() >= LEAST_ROWS, "only {} rows", rows.len());
}
