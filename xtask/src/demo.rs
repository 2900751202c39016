//! `cargo xtask demo`: a guest goes online through the relay, before your eyes.

use anyhow::Result;

use crate::process::Step;
use crate::relay::Build;
use crate::{guest, needs};

/// The demo, set up and ready to run. `once` ends after the transcript.
pub(crate) fn step(once: bool, relay: Build) -> Result<Step> {
    needs::node_modules(&guest::tests())?;
    guest::make()?;
    let program = relay.make()?;
    let step = Step::new("node")
        .args([guest::NODE_FLAG, "demo.mjs"])
        .dir(&guest::tests())
        .env("NETLOOM_GUEST_DIR", guest::folder())
        .env("NETLOOM_BIN", program);
    Ok(if once { step.arg("--once") } else { step })
}
