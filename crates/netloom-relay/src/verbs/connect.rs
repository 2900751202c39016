//! The connection of a command to its relay: the control socket, or a listener with the control token.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use url::Url;

use super::Failure;
use crate::cli::control::RelayAddress;
use crate::config::{self, Authorities, ControlAddress};
use crate::{control, tls};

/// A relay that answers.
pub(super) struct Relay {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    token: Option<HeaderValue>,
}

impl Relay {
    /// Connects as the flags say.
    pub(super) async fn connect(address: &RelayAddress) -> Result<Self, Failure> {
        match &address.relay {
            Some(url) => Self::connect_listener(address, url).await,
            None => Self::connect_socket(address.control.as_deref()).await,
        }
    }

    async fn connect_socket(written: Option<&str>) -> Result<Self, Failure> {
        let given = written.map(config::control_address).transpose();
        let path = match given.map_err(|why| Failure::Usage(format!("--control: {why}")))? {
            Some(ControlAddress::Unix(path)) => path,
            Some(ControlAddress::Off) => {
                return Err(Failure::Usage("--control: write unix:PATH".to_owned()));
            }
            Some(ControlAddress::Default) | None => control::found_path(),
        };
        let stream = UnixStream::connect(&path).await.map_err(|error| {
            let shown = path.display();
            Failure::Failed(format!(
                "no relay answers on unix:{shown} ({error}): start one, or name its socket by --control unix:PATH"
            ))
        })?;
        Self::begin(stream, HeaderValue::from_static("localhost"), None).await
    }

    async fn connect_listener(address: &RelayAddress, written: &str) -> Result<Self, Failure> {
        let usage = |why: String| Failure::Usage(format!("--relay: {why}"));
        let wrong = || {
            usage(format!("`{written}` is no URL of a relay; write http://127.0.0.1:8086 or https://HOST"))
        };
        let url = Url::parse(written).map_err(|_| wrong())?;
        let is_tls = match url.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(wrong()),
        };
        let host = url.host_str().ok_or_else(wrong)?.to_owned();
        let port = url.port().unwrap_or(if is_tls { 443 } else { 80 });
        let token_file = address.token_file.as_deref().map(Path::to_string_lossy).unwrap_or_default();
        let token =
            config::read_token(&token_file).map_err(|why| Failure::Usage(format!("--token-file: {why}")))?;
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        let mut bearer = bearer.map_err(|_| Failure::Usage("--token-file: no token".to_owned()))?;
        bearer.set_sensitive(true);
        let header = HeaderValue::try_from(format!("{host}:{port}")).map_err(|_| wrong())?;
        let refused = |error: &dyn std::fmt::Display| {
            Failure::Failed(format!(
                "no relay answers at {host}:{port} ({error}): start one, or name another by --relay"
            ))
        };
        let bare = host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((bare, port)).await.map_err(|error| refused(&error))?;
        if !is_tls {
            return Self::begin(stream, header, Some(bearer)).await;
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| wrong())?;
        let own = address.cacert.clone().map(Authorities::read).transpose();
        let own = own.map_err(|why| Failure::Usage(format!("--cacert: {why}")))?;
        let config = tls::client_config(own.as_ref()).map_err(|error| failed(&error))?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.map_err(|error| refused(&error))?;
        Self::begin(stream, header, Some(bearer)).await
    }

    async fn begin(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: HeaderValue,
        token: Option<HeaderValue>,
    ) -> Result<Self, Failure> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        // What goes wrong with it is told to whoever waits for an answer.
        tokio::spawn(connection);
        Ok(Self { sender, host, token })
    }

    /// Reads what is at a path.
    pub(super) async fn read<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        self.change(Method::GET, path, None).await
    }

    /// Sends a request, and reads the answer.
    pub(super) async fn change<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, Failure> {
        let answer = self.send(method, path, body).await?;
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| failed(&error))
    }

    /// Sends a request; the answer's body is still to come.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response<Incoming>, Failure> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        let mut request = Request::new(Full::new(body.unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error| failed(&error))?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        let answer = self.sender.send_request(request).await.map_err(|error| failed(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        let said = match serde_json::from_slice::<Value>(&body) {
            Ok(Value::Object(fields)) => fields.get("error").and_then(Value::as_str).map(str::to_owned),
            _ => None,
        };
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
        Err(Failure::Failed(if said.is_empty() { format!("the relay answers {status}") } else { said }))
    }
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(format!("the relay does not answer as it should: {error}"))
}
