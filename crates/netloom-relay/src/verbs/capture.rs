//! `netloom capture`: a stream of pcapng to a file or to standard output.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};

use http::Method;
use http_body_util::BodyExt as _;

use super::connect::{Relay, failed};
use super::{Failure, path};
use crate::capture::Filter;
use crate::cli::control::{CaptureArgs, RelayAddress};

pub(super) async fn run(relay: &RelayAddress, args: &CaptureArgs) -> Result<String, Failure> {
    let filter = args.filter.join(" ");
    Filter::parse(&filter).map_err(|error| Failure::Usage(format!("filter: {error}")))?;
    let mut out: Box<dyn Write> = match &args.output {
        Some(file) if file.as_os_str() != "-" => {
            let created = File::create(file).map_err(|error| {
                Failure::Usage(format!("--output: {} cannot be written ({error})", file.display()))
            })?;
            Box::new(created)
        }
        None if io::stdout().is_terminal() => {
            return Err(Failure::Usage(
                "a capture is not for a terminal: add -o FILE, or `| wireshark -k -i -`".to_owned(),
            ));
        }
        _ => Box::new(io::stdout()),
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let (snap_bytes, max_bytes) = (number(args.snap_bytes), number(args.max_bytes));
    let (max_frames, seconds) = (number(args.max_frames), number(args.seconds));
    let query = [
        ("lan", args.lan.as_deref()),
        ("client", args.client.as_deref()),
        ("filter", Some(filter.as_str()).filter(|filter| !filter.is_empty())),
        ("snap_bytes", snap_bytes.as_deref()),
        ("max_bytes", max_bytes.as_deref()),
        ("max_frames", max_frames.as_deref()),
        ("seconds", seconds.as_deref()),
    ];
    let mut relay = Relay::connect(relay).await?;
    let answer = relay.send(Method::GET, &path("/api/capture", &query), None).await?;
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failed(&error))?;
        let Some(bytes) = frame.data_ref() else { continue };
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => {}
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(Failure::Failed(format!("the capture cannot be written: {error}"))),
        }
    }
    Ok(String::new())
}
