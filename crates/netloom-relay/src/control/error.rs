//! What a request is told that cannot be answered: `{"error": "…"}`, with the status that fits.

use http::{Response, StatusCode};

use super::allow;
use crate::lan::Stopped;
use crate::listen::{Body, boxed, json};

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    /// The methods that are served.
    methods: Option<&'static str>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), methods: None }
    }

    /// The request is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What is named does not exist.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Something stands in the way.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// Other methods are served.
    pub(super) fn method(methods: &'static str) -> Self {
        let message = format!("this path takes {methods}");
        Self { methods: Some(methods), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    pub(super) fn answer(self) -> Response<Body> {
        let answer = boxed(json(self.status, &serde_json::json!({ "error": self.message })));
        match self.methods {
            Some(methods) => allow(answer, methods),
            None => answer,
        }
    }
}

impl From<Stopped> for ApiError {
    fn from(stopped: Stopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string())
    }
}
