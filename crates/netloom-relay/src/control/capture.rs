//! `/api/capture`: a LAN's frames, or one client's, as a stream of pcapng.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::api::Query;
use super::error::ApiError;
use super::{Control, snapshot};
use crate::capture::{Filter, SNAP_BYTES, Wanted};
use crate::lan::unix_us;
use crate::listen::{Body, boxed};

/// Longest capture by time, in seconds: a year.
const MAX_SECONDS: u64 = 366 * 24 * 3600;

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    lan: Option<String>,
    client: Option<String>,
    wanted: Wanted,
    seconds: Option<u64>,
}

impl Asked {
    /// Reads the query: `lan`, `client`, `filter`, `snap_bytes`, `max_bytes`, `max_frames`, `seconds`.
    pub(super) fn of(request: &Request<Incoming>) -> Result<Self, ApiError> {
        const KNOWN: &[&str] =
            &["lan", "client", "filter", "snap_bytes", "max_bytes", "max_frames", "seconds"];
        let query = Query::of(request, KNOWN)?;
        let filter = Filter::parse(query.text("filter").unwrap_or_default());
        let snap_bytes = query.number("snap_bytes")?.and_then(|bytes| u32::try_from(bytes).ok());
        Ok(Self {
            lan: query.text("lan").map(str::to_owned),
            client: query.text("client").map(str::to_owned),
            wanted: Wanted {
                port: None,
                filter: filter.map_err(|error| ApiError::bad(format!("filter: {error}")))?,
                snap_bytes: snap_bytes.unwrap_or(SNAP_BYTES).min(SNAP_BYTES),
                max_bytes: query.number("max_bytes")?,
                max_frames: query.number("max_frames")?,
            },
            seconds: query.number("seconds")?.map(|seconds| seconds.min(MAX_SECONDS)),
        })
    }
}

impl Control {
    pub(super) async fn capture(&self, asked: Asked) -> Result<Response<Body>, ApiError> {
        let Asked { lan, client, mut wanted, seconds } = asked;
        let lan = match (&client, &lan) {
            (Some(client), None) => self.lan_of(client).await?,
            _ => self.lan(lan.as_deref())?,
        };
        let begun = lan
            .ask(move |lan| {
                if let Some(client) = client {
                    let ids = snapshot::clients_named(lan, &client);
                    let members = lan.members.borrow();
                    let port =
                        members.values().find(|member| ids.contains(&member.id)).map(|member| member.port());
                    wanted.port = Some(port.ok_or_else(|| no_client(&client))?);
                }
                lan.captures
                    .begin(unix_us(), wanted)
                    .map_err(|error| ApiError::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()))
            })
            .await?;
        let (id, reader) = begun?;
        if let Some(seconds) = seconds {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                // A LAN that has stopped has ended its captures.
                let _stopped = lan.ask(move |lan| lan.captures.end(id)).await;
            });
        }
        let mut answer = boxed(Response::new(reader));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-pcapng"));
        headers
            .insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"netloom.pcapng\""));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    /// The LAN that has a client.
    async fn lan_of(&self, client: &str) -> Result<crate::lan::LanHandle, ApiError> {
        for lan in self.lans(None)? {
            let wanted = client.to_owned();
            if lan.ask(move |lan| !snapshot::clients_named(lan, &wanted).is_empty()).await? {
                return Ok(lan);
            }
        }
        Err(no_client(client))
    }
}

fn no_client(named: &str) -> ApiError {
    ApiError::not_found(format!(
        "no client is `{named}`: give its number, or a MAC address, an address or a name of its guest"
    ))
}
