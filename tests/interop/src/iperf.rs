//! iperf3 between a guest and the server's namespace.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::{Guest, Lab, SERVER};
use crate::process::Process;

/// Runs iperf3 for `seconds` with further `arguments` at the guest; gives the bytes that its receiver got.
///
/// # Errors
/// With iperf3's own words when it fails, or when a stream moved nothing.
pub fn iperf3(lab: &Lab, guest: &Guest, seconds: u32, arguments: &[&str]) -> Result<f64> {
    let mut server = Process::start(lab.server.command("iperf3").args(["-s", "-1", "--forceflush"]))?;
    server.wait_for_line(Duration::from_secs(5), |line| line.contains("listening").then_some(()))?;
    let (target, seconds) = (SERVER.to_string(), seconds.to_string());
    let report =
        guest.namespace.exec("iperf3", &[&["-c", &target, "-J", "-t", &seconds], arguments].concat())?;
    let report: serde_json::Value = serde_json::from_str(&report)?;
    let streams = report["end"]["streams"].as_array().context("no streams in iperf3's report")?;
    for (number, stream) in streams.iter().enumerate() {
        let bytes = stream["receiver"]["bytes"].as_f64().unwrap_or_default();
        anyhow::ensure!(bytes > 0.0, "stream {number} of {} moved nothing", streams.len());
    }
    report["end"]["sum_received"]["bytes"].as_f64().context("no sum in iperf3's report")
}
