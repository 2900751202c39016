//! `/api/kick`: has clients go. A guest that connects again by itself may; to keep it out takes a token or a rule.

use http::{Request, Response};
use hyper::body::Incoming;
use serde::Deserialize;

use super::api::{ok, read_json};
use super::error::ApiError;
use super::{Control, snapshot};
use crate::listen::Body;

/// Who is to go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kick {
    /// A client's number, or a MAC address, an IP address or a leased name of its guest.
    client: Named,
    /// Where; without, on every LAN.
    lan: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Named {
    Number(u64),
    Text(String),
}

impl Control {
    pub(super) async fn kick(&self, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
        let kick: Kick = read_json(request).await?;
        let named = match kick.client {
            Named::Number(id) => id.to_string(),
            Named::Text(text) => text,
        };
        let wanted = named.clone();
        let kicked = self.gather(kick.lan.as_deref(), move |lan| {
            let clients = snapshot::clients_named(lan, &wanted);
            clients.into_iter().filter(|id| lan.kick(*id)).collect()
        });
        let kicked: Vec<u64> = kicked.await?;
        if kicked.is_empty() {
            return Err(ApiError::not_found(format!(
                "no client is `{named}`: give its number, or a MAC address, an address or a name of its guest"
            )));
        }
        Ok(ok(&serde_json::json!({ "kicked": kicked })))
    }
}
