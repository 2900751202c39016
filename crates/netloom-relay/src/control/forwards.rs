//! `/api/forwards`: the ports of this host that lead to guests, live.

use http::{Method, Request, Response};
use hyper::body::Incoming;
use serde::Deserialize;

use super::Control;
use super::api::{Query, ok, read_json};
use super::error::ApiError;
use crate::config::{Forward, ForwardListen};
use crate::forward::{self, AddError};
use crate::listen::Body;

/// A forward to add.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    /// As --forward has it.
    forward: String,
}

impl Control {
    pub(super) async fn forwards(&self, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
        match *request.method() {
            Method::GET | Method::HEAD => {
                let query = Query::of(&request, &["lan"])?;
                Ok(ok(&self
                    .gather(query.text("lan"), |lan| {
                        let name = lan.settings().name.clone();
                        forward::list(lan).iter().map(|status| shown(&name, status)).collect()
                    })
                    .await?))
            }
            Method::POST => {
                let new: New = read_json(request).await?;
                let (lan, forward) = Forward::parse(&new.forward).map_err(ApiError::bad)?;
                let lan = self.lan(lan.as_deref())?;
                let name = lan.name().to_owned();
                let added = lan.ask(move |lan| forward::add(lan, &forward)).await?;
                match added {
                    Ok(forward) => {
                        Ok(ok(&shown(&name, &forward::Status { forward, open: 0, total: 0, dropped: 0 })))
                    }
                    Err(error @ (AddError::Exists(..) | AddError::Bind(..))) => {
                        Err(ApiError::conflict(error.to_string()))
                    }
                }
            }
            Method::DELETE => {
                let query = Query::of(&request, &["lan", "listen"])?;
                let listen = query.text("listen");
                let listen =
                    listen.ok_or_else(|| ApiError::bad("say which by ?listen=, as --forward has it"))?;
                let listen: ForwardListen = listen.parse().map_err(ApiError::bad)?;
                self.remove_forward(query.text("lan"), &listen).await?;
                Ok(ok(&serde_json::json!({ "removed": listen.to_string() })))
            }
            _ => Err(ApiError::method("GET, HEAD, POST, DELETE")),
        }
    }

    /// Removes the forward that listens there, of the LAN that is named or of whichever has it.
    pub(super) async fn remove_forward(
        &self,
        lan: Option<&str>,
        listen: &ForwardListen,
    ) -> Result<(), ApiError> {
        let mut refused = ApiError::not_found(format!("no forward listens on {listen}"));
        for lan in self.lans(lan)? {
            let listen = listen.clone();
            match lan.ask(move |lan| forward::remove(lan, &listen)).await? {
                Ok(_) => return Ok(()),
                Err(error) => refused = ApiError::not_found(error.to_string()),
            }
        }
        Err(refused)
    }
}

fn shown(lan: &str, status: &forward::Status) -> serde_json::Value {
    let forward::Status { forward, open, total, dropped } = status;
    serde_json::json!({
        "lan": lan,
        "listen": forward.listen.to_string(),
        "guest": forward.guest.to_string(),
        "port": forward.port,
        "keep_source": forward.keep_source,
        "open": open,
        "total": total,
        "dropped": dropped,
    })
}
