//! `netloom token`: makes, lists and revokes tokens.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::secret::Secret;
use crate::cli::token::{CreateArgs, ListArgs, RevokeArgs, TokenCommand};
use crate::config::tokens::{self, Rules, Token};

const DAY_S: i64 = 24 * 3600;

/// Does what a command says; answers what to print.
///
/// # Errors
/// Why not, with the fix.
pub fn run(command: &TokenCommand) -> anyhow::Result<String> {
    match command {
        TokenCommand::Create(args) => create(args),
        TokenCommand::List(args) => list(args),
        TokenCommand::Revoke(args) => revoke(args),
    }
}

fn create(args: &CreateArgs) -> anyhow::Result<String> {
    let name = tokens::name(&args.name).map_err(anyhow::Error::msg)?;
    let rules = tokens::rules(&args.lan, &args.allow, &args.deny, args.allow_only, &args.limit)?;
    let secret = Secret::generate().context("no random bytes for a token")?;
    let token = Token { name, hash: secret.hash(), created_unix_s: now_unix_s(), rules };
    let path = &args.file.tokens;
    tokens::change(path, true, |tokens| {
        if tokens.iter().any(|other| other.name == token.name) {
            bail!("there is a token named `{}`: revoke it first, or choose another name", token.name);
        }
        tokens.push(token);
        Ok(())
    })
    .with_context(|| format!("cannot change {}", path.display()))?;
    Ok(format!("{}\n", secret.text()))
}

fn list(args: &ListArgs) -> anyhow::Result<String> {
    let tokens = tokens::read(&args.file.tokens)?;
    Ok(if args.json { as_json(&tokens) } else { as_text(&tokens) })
}

fn revoke(args: &RevokeArgs) -> anyhow::Result<String> {
    let path = &args.file.tokens;
    tokens::change(path, false, |tokens| {
        let before = tokens.len();
        tokens.retain(|token| token.name != args.name);
        if tokens.len() == before {
            bail!(
                "there is no token named `{}`: see `netloom token list --tokens {}`",
                args.name,
                path.display()
            );
        }
        Ok(())
    })
    .with_context(|| format!("cannot change {}", path.display()))?;
    Ok(format!("revoked {}\n", args.name))
}

fn as_text(tokens: &[Token]) -> String {
    let width = tokens.iter().map(|token| token.name.len()).max().unwrap_or(0).max("NAME".len());
    let mut text = format!("{:width$}  AGE    RULES\n", "NAME");
    for token in tokens {
        let days = (now_unix_s() - token.created_unix_s).max(0) / DAY_S;
        // Writing to a text does not fail.
        let _ = writeln!(text, "{:width$}  {:<6} {}", token.name, format!("{days} d"), rules(&token.rules));
    }
    text
}

fn rules(rules: &Rules) -> String {
    let mut said: Vec<String> = rules.lans.iter().map(|lan| format!("lan {lan}")).collect();
    said.extend(rules.allow.iter().map(|pattern| format!("allow {pattern}")));
    said.extend(rules.deny.iter().map(|pattern| format!("deny {pattern}")));
    said.extend(rules.limits.values().map(|(key, value)| format!("{key} {value}")));
    said.extend(rules.allow_only.then(|| "allow-only".to_owned()));
    if said.is_empty() { "-".to_owned() } else { said.join(", ") }
}

fn as_json(tokens: &[Token]) -> String {
    let texts =
        |patterns: &[netloom_core::Pattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
    let token = |token: &Token| {
        json!({
            "name": token.name,
            "created_unix_s": token.created_unix_s,
            "lans": token.rules.lans,
            "allow": texts(&token.rules.allow),
            "deny": texts(&token.rules.deny),
            "allow_only": token.rules.allow_only,
            "limits": token.rules.limits.values().collect::<std::collections::BTreeMap<_, _>>(),
        })
    };
    format!("{:#}\n", serde_json::Value::from(tokens.iter().map(token).collect::<Vec<_>>()))
}

fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
