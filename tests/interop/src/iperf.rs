//! iperf3 between a guest and the server's namespace.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::lab::{Guest, Lab, SERVER};
use crate::namespace::Namespace;
use crate::process::Process;

/// Runs iperf3 for `seconds` with further `arguments` at the guest; gives the bytes that its receiver got.
///
/// # Errors
/// With iperf3's own words when it fails, or when a stream moved nothing.
pub fn iperf3(lab: &Lab, guest: &Guest, seconds: u32, arguments: &[&str]) -> Result<f64> {
    let report = iperf3_between(&guest.namespace, (&lab.server, SERVER), seconds, arguments)?;
    let streams = report["end"]["streams"].as_array().context("no streams in iperf3's report")?;
    for (number, stream) in streams.iter().enumerate() {
        let bytes = stream["receiver"]["bytes"].as_f64().unwrap_or_default();
        anyhow::ensure!(bytes > 0.0, "stream {number} of {} moved nothing", streams.len());
    }
    report["end"]["sum_received"]["bytes"].as_f64().context("no sum in iperf3's report")
}

/// Runs iperf3 from one namespace to an address of another; gives its report.
///
/// # Errors
/// With iperf3's own words when it fails.
pub fn iperf3_between(
    client: &Namespace,
    server: (&Namespace, Ipv4Addr),
    seconds: u32,
    arguments: &[&str],
) -> Result<serde_json::Value> {
    let (namespace, target) = server;
    let mut server = Process::start(namespace.command("iperf3").args(["-s", "-1", "--forceflush"]))?;
    server.wait_for_line(Duration::from_secs(5), |line| line.contains("listening").then_some(()))?;
    let (target, seconds) = (target.to_string(), seconds.to_string());
    let report = client.exec("iperf3", &[&["-c", &target, "-J", "-t", &seconds], arguments].concat())?;
    Ok(serde_json::from_str(&report)?)
}
