//! The flags of the CORS proxy.

use std::path::PathBuf;

use clap::Args;

/// Flags of the CORS proxy; all but the first need it.
#[derive(Args, Clone, Debug, Default)]
pub struct CorsArgs {
    /// Serve a CORS proxy at /cors/URL, /URL and /?url=URL
    #[arg(long)]
    pub cors: bool,
    /// Origin that the CORS proxy serves; without any it serves all. Repeatable
    #[arg(long, value_name = "URL", requires = "cors")]
    pub cors_whitelist: Vec<String>,
    /// Origin that the CORS proxy refuses. Repeatable
    #[arg(long, value_name = "URL", requires = "cors")]
    pub cors_blacklist: Vec<String>,
    /// Request header of which the CORS proxy needs one, such as `x-requested-with`. Repeatable
    #[arg(long, value_name = "NAME", requires = "cors")]
    pub cors_require_header: Vec<String>,
    /// Request header that is not passed on [default: cookie, cookie2 and what hosting services add]. Repeatable
    #[arg(long, value_name = "NAME", requires = "cors")]
    pub cors_remove_header: Vec<String>,
    /// Request header that targets get from the CORS proxy. Repeatable
    #[arg(long, value_name = "NAME:VALUE", requires = "cors")]
    pub cors_set_header: Vec<String>,
    /// How long browsers may keep the answer to a preflight, in seconds
    #[arg(long, value_name = "SECONDS", requires = "cors")]
    pub cors_max_age: Option<i64>,
    /// Redirects that the CORS proxy follows itself [default: 5, of /?url= 20]
    #[arg(long, value_name = "COUNT", requires = "cors")]
    pub cors_max_redirects: Option<i64>,
    /// Requests that an origin has per period, and hosts without limit, as `50 3 example.com /.*\.example\.org/`
    #[arg(long, value_name = "MAX MINUTES [HOST...]", requires = "cors")]
    pub cors_rate_limit: Option<String>,
    /// Send pages that ask for their own origin there, by a redirect
    #[arg(long, requires = "cors")]
    pub cors_redirect_same_origin: bool,
    /// Tell targets who asks, by X-Forwarded-For, -Port and -Proto
    #[arg(long, requires = "cors")]
    pub cors_forwarded: bool,
    /// Text, or HTML if it is named so, in place of the page of help at /cors/
    #[arg(long, value_name = "FILE", requires = "cors")]
    pub cors_help: Option<PathBuf>,
    /// Connect to HOST2:PORT2 for requests to HOST1:PORT1, as curl does; an empty part stands for any, or for no change. Repeatable
    #[arg(long, value_name = "HOST1:PORT1:HOST2:PORT2", requires = "cors")]
    pub connect_to: Vec<String>,
    /// Certificates in PEM of authorities that are trusted too, for https targets
    #[arg(long, value_name = "FILE", requires = "cors")]
    pub cacert: Option<PathBuf>,
}
