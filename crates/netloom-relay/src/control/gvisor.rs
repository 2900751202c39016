//! The paths, JSON and answers of gvisor-tap-vsock's API, for clients that were written for it. The unix socket alone has them.
//!
//! Other than there: a guest cannot reach them; forwards of `npipe` and through ssh are refused; names by a regular expression too; `/stats`
//! has our counters; and where there are several LANs, a forward is of the one whose network has its guest, and names are of the first.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::api::ok;
use super::error::ApiError;
use super::{Control, dns, read_body, snapshot};
use crate::config::{Forward, ForwardGuest, ForwardListen};
use crate::forward;
use crate::lan::LanHandle;
use crate::listen::{Body, boxed, text};

/// What clients wrote of the forwards that they added: they find them again by it.
pub(super) type Exposed = BTreeMap<ForwardListen, Proxy>;

/// A forward, as clients have it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Proxy {
    #[serde(default)]
    local: String,
    #[serde(default)]
    remote: String,
    #[serde(default)]
    protocol: String,
}

/// Why a request is refused: the status and the text.
type Refusal = (StatusCode, String);

fn bad(message: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, message.into())
}

fn failed(message: impl Into<String>) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, message.into())
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        failed(error.to_string())
    }
}

impl Control {
    pub(super) async fn gvisor(&self, path: &str, request: Request<Incoming>) -> Response<Body> {
        let answered = match path {
            "/healthz" => Ok(boxed(text(StatusCode::OK, "ok\n"))),
            "/stats" => self.stats().await,
            "/cam" => self.cam().await,
            "/leases" | "/services/dhcp/leases" => self.gvisor_leases().await,
            "/services/forwarder/all" => self.exposed().await,
            "/services/dns/all" => self.zones().await,
            "/services/forwarder/expose" => self.expose(request).await,
            "/services/forwarder/unexpose" => self.unexpose(request).await,
            "/services/dns/add" => self.add_zone(request).await,
            _ => Err((StatusCode::NOT_FOUND, "there is nothing at this path; see /api".to_owned())),
        };
        answered.unwrap_or_else(|(status, message)| boxed(text(status, message + "\n")))
    }

    async fn stats(&self) -> Result<Response<Body>, Refusal> {
        let lans = self.gather(None, |lan| vec![snapshot::lan(lan)]).await?;
        let mut drops = BTreeMap::<String, u64>::new();
        for (reason, count) in lans.iter().flat_map(|lan| &lan.drops) {
            *drops.entry(reason.clone()).or_default() += count;
        }
        let sum = |of: fn(&snapshot::Passed) -> u64| lans.iter().map(|lan| of(&lan.passed)).sum::<u64>();
        Ok(ok(&serde_json::json!({
            "BytesSent": sum(|passed| passed.bytes_out),
            "BytesReceived": sum(|passed| passed.bytes_in),
            "FramesSent": sum(|passed| passed.frames_out),
            "FramesReceived": sum(|passed| passed.frames_in),
            "Drops": drops,
        })))
    }

    async fn cam(&self) -> Result<Response<Body>, Refusal> {
        let macs = self.gather(None, |lan| snapshot::macs(lan)).await?;
        let table: BTreeMap<_, _> =
            macs.into_iter().filter_map(|entry| Some((entry.mac, entry.client?))).collect();
        Ok(ok(&table))
    }

    /// Addresses and who has them, the gateways included.
    async fn gvisor_leases(&self) -> Result<Response<Body>, Refusal> {
        let leases = self.gather(None, |lan| {
            let settings = lan.settings();
            let fixed =
                settings.leases.iter().map(|(mac, address)| (IpAddr::from(*address), mac.to_string()));
            let gateway = (settings.gateway_address().into(), settings.gateway_mac.to_string());
            let held = snapshot::leases(lan).into_iter().map(|lease| (lease.address, lease.mac));
            std::iter::once(gateway).chain(fixed).chain(held).collect::<Vec<_>>()
        });
        Ok(ok(&leases.await?.into_iter().collect::<BTreeMap<_, _>>()))
    }

    async fn exposed(&self) -> Result<Response<Body>, Refusal> {
        let forwards = self.gather(None, |lan| forward::list(lan)).await?;
        let written = self.written();
        let mut all: Vec<Proxy> = forwards
            .into_iter()
            .map(|status| {
                let Forward { listen, guest, port, .. } = status.forward;
                written.get(&listen).cloned().unwrap_or_else(|| {
                    let (protocol, local) = match &listen {
                        ForwardListen::Tcp(address) => ("tcp", address.to_string()),
                        ForwardListen::Udp(address) => ("udp", address.to_string()),
                        ForwardListen::Unix(path) => ("unix", path.display().to_string()),
                    };
                    Proxy { local, remote: format!("{guest}:{port}"), protocol: protocol.to_owned() }
                })
            })
            .collect();
        all.sort_unstable();
        Ok(ok(&all))
    }

    async fn expose(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let proxy = read_proxy(request).await?;
        let listen = listen_of(&proxy)?;
        let remote = match proxy.protocol.as_str() {
            "unix" => proxy.remote.strip_prefix("tcp://").ok_or_else(|| {
                failed(format!("remote protocol for unix forwarder is not implemented: {}", proxy.remote))
            })?,
            _ => proxy.remote.as_str(),
        };
        let remote: SocketAddr = remote
            .parse()
            .map_err(|_| bad(format!("`{remote}` is not ADDRESS:PORT of a guest, as in 192.168.127.2:80")))?;
        let forward = Forward {
            listen: listen.clone(),
            guest: ForwardGuest::Address(remote.ip()),
            port: remote.port(),
            keep_source: false,
        };
        let lan = self.lan_with(remote.ip()).await?;
        let added = lan
            .ask(move |lan| forward::add(lan, &forward))
            .await
            .map_err(|error| failed(error.to_string()))?;
        added.map_err(|error| match error {
            forward::AddError::Exists(_) => {
                failed(format!("proxy already running for {} on {}: {error}", proxy.protocol, proxy.local))
            }
            forward::AddError::Bind(..) => failed(error.to_string()),
        })?;
        self.write().insert(listen, proxy);
        Ok(done())
    }

    async fn unexpose(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let proxy = read_proxy(request).await?;
        let listen = listen_of(&proxy)?;
        self.remove_forward(None, &listen)
            .await
            .map_err(|error| failed(format!("proxy not found: {error}")))?;
        self.write().remove(&listen);
        Ok(done())
    }

    async fn zones(&self) -> Result<Response<Body>, Refusal> {
        Ok(ok(&self.gather(None, |lan| lan.names.borrow().zones().to_vec()).await?))
    }

    async fn add_zone(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let zone: dns::Zone = post(request).await?;
        zone.check().map_err(bad)?;
        let lan = self.lan(None)?;
        let added = lan.ask(move |lan| dns::change(lan, |names| names.add_zone(zone))).await;
        added.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
        Ok(done())
    }

    /// The LAN whose network has an address, else the first.
    async fn lan_with(&self, address: IpAddr) -> Result<LanHandle, Refusal> {
        for lan in self.lans(None)? {
            let has = lan.ask(move |lan| match address {
                IpAddr::V4(v4) => lan.settings().subnet.contains(v4),
                IpAddr::V6(v6) => lan.settings().ipv6.is_some_and(|prefix| prefix.contains(v6)),
            });
            if has.await.unwrap_or(false) {
                return Ok(lan);
            }
        }
        Ok(self.lan(None)?)
    }

    fn write(&self) -> std::sync::MutexGuard<'_, Exposed> {
        self.exposed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn written(&self) -> Exposed {
        self.write().clone()
    }
}

fn done() -> Response<Body> {
    boxed(text(StatusCode::OK, ""))
}

async fn post<T: serde::de::DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    if request.method() != Method::POST {
        return Err(bad("post only"));
    }
    let body = read_body(request).await.map_err(|error| bad(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))
}

async fn read_proxy(request: Request<Incoming>) -> Result<Proxy, Refusal> {
    let mut proxy: Proxy = post(request).await?;
    if proxy.protocol.is_empty() {
        "tcp".clone_into(&mut proxy.protocol);
    }
    Ok(proxy)
}

fn listen_of(proxy: &Proxy) -> Result<ForwardListen, Refusal> {
    let Proxy { local, protocol, .. } = proxy;
    if !matches!(protocol.as_str(), "tcp" | "udp" | "unix") {
        return Err(failed(format!("unknown protocol {protocol}: tcp, udp and unix are served")));
    }
    let local = match local.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => local.clone(),
    };
    format!("{protocol}:{local}").parse().map_err(failed)
}
