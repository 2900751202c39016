//! The commands that ask a running relay, over its control API.

mod capture;
mod connect;
mod status;
mod table;

use std::fmt;

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::cli::control::{ControlCommand, ForwardAction, RelayAddress};
use crate::control::LeaseStatus;
use connect::Relay;
use table::{Table, duration};

/// Why a command did not do what it should.
#[derive(Debug)]
pub enum Failure {
    /// What was written is wrong.
    Usage(String),
    /// The relay is not there, or refuses.
    Failed(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
        }
    }
}

/// Runs a command; answers what it says.
///
/// # Errors
/// [`Failure`], as one line.
pub fn run(command: &ControlCommand) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(error.to_string()))?;
    runtime.block_on(ask(command))
}

async fn ask(command: &ControlCommand) -> Result<String, Failure> {
    match command {
        ControlCommand::Status { relay, lan, flows } => status::run(relay, lan.as_deref(), *flows).await,
        ControlCommand::Leases { relay, lan } => leases(relay, lan.as_deref()).await,
        ControlCommand::Forward { relay, action } => forward(relay, action).await,
        ControlCommand::Capture { relay, capture } => capture::run(relay, capture).await,
        ControlCommand::Kick { relay, client, lan } => {
            let body = json!({ "client": client, "lan": lan });
            let answer: Value =
                Relay::connect(relay).await?.change(Method::POST, "/api/kick", Some(body)).await?;
            let count = answer["kicked"].as_array().map_or(0, Vec::len);
            Ok(said(relay, &answer, || format!("told {count} to go\n")))
        }
        ControlCommand::Reload { relay } => {
            let answer: Value =
                Relay::connect(relay).await?.change(Method::POST, "/api/reload", None).await?;
            let lines = || answer["lines"].as_array().cloned().unwrap_or_default();
            Ok(said(relay, &answer, || {
                lines().iter().filter_map(Value::as_str).map(|line| format!("{line}\n")).collect()
            }))
        }
    }
}

/// An answer as JSON if that is wanted, else in words.
fn said(relay: &RelayAddress, answer: &impl Serialize, words: impl FnOnce() -> String) -> String {
    if !relay.json {
        return words();
    }
    // What was read as JSON can be written so.
    serde_json::to_string_pretty(answer).unwrap_or_default() + "\n"
}

/// A path with what is said in its query.
fn path(path: &str, query: &[(&str, Option<&str>)]) -> String {
    let mut pairs = Serializer::new(String::new());
    for (key, value) in query {
        if let Some(value) = value {
            pairs.append_pair(key, value);
        }
    }
    match pairs.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

async fn leases(address: &RelayAddress, lan: Option<&str>) -> Result<String, Failure> {
    let leases: Vec<LeaseStatus> =
        Relay::connect(address).await?.read(&path("/api/leases", &[("lan", lan)])).await?;
    Ok(said(address, &leases, || {
        let mut table = Table::new(&["LAN", "ADDRESS", "MAC", "NAME", "EXPIRES IN", "CLIENT"]);
        for lease in &leases {
            table.row(vec![
                lease.lan.clone(),
                lease.address.to_string(),
                lease.mac.clone(),
                lease.name.clone().unwrap_or_default(),
                if lease.fixed { "fixed".to_owned() } else { duration(lease.expires_s) },
                lease.client.map(|client| client.to_string()).unwrap_or_default(),
            ]);
        }
        if leases.is_empty() { "no leases\n".to_owned() } else { table.to_string() }
    }))
}

async fn forward(address: &RelayAddress, action: &ForwardAction) -> Result<String, Failure> {
    let mut relay = Relay::connect(address).await?;
    let text = |value: &Value, key: &str| match &value[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match action {
        ForwardAction::List { lan } => {
            let forwards: Vec<Value> = relay.read(&path("/api/forwards", &[("lan", lan.as_deref())])).await?;
            Ok(said(address, &forwards, || {
                let mut table = Table::new(&["LAN", "LISTENS ON", "GUEST", "PORT", "OPEN", "TOTAL"]);
                for forward in &forwards {
                    let cells = ["lan", "listen", "guest", "port", "open", "total"];
                    table.row(cells.iter().map(|key| text(forward, key)).collect());
                }
                if forwards.is_empty() { "no forwards\n".to_owned() } else { table.to_string() }
            }))
        }
        ForwardAction::Add { forward } => {
            let added: Value =
                relay.change(Method::POST, "/api/forwards", Some(json!({ "forward": forward }))).await?;
            Ok(said(address, &added, || {
                format!(
                    "forwarding {} to port {} of guest {}, LAN {}\n",
                    text(&added, "listen"),
                    text(&added, "port"),
                    text(&added, "guest"),
                    text(&added, "lan")
                )
            }))
        }
        ForwardAction::Remove { listen, lan } => {
            let query = [("listen", Some(listen.as_str())), ("lan", lan.as_deref())];
            let removed: Value = relay.change(Method::DELETE, &path("/api/forwards", &query), None).await?;
            Ok(said(address, &removed, || format!("removed {}\n", text(&removed, "removed"))))
        }
    }
}
