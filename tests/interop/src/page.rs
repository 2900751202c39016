//! What docs/operate.md says to type, so that tests run that and nothing else.

use anyhow::{Context, Result};

const PAGE: &str = include_str!("../../../docs/operate.md");

/// The indented block that begins with `first`, without its indentation.
///
/// # Errors
/// When the page has none.
pub fn block(first: &str) -> Result<String> {
    block_after(PAGE, first)
}

/// The same of what follows the text `after`.
///
/// # Errors
/// When the page has none.
pub fn block_below(after: &str, first: &str) -> Result<String> {
    let at = PAGE.find(after).with_context(|| format!("docs/operate.md has no `{after}`"))?;
    block_after(&PAGE[at..], first)
}

fn block_after(text: &str, first: &str) -> Result<String> {
    let mut lines = text.lines().skip_while(|line| line.strip_prefix("    ") != Some(first)).peekable();
    lines.peek().with_context(|| format!("docs/operate.md has no block that begins with `{first}`"))?;
    let lines = lines.map_while(|line| line.strip_prefix("    "));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}
