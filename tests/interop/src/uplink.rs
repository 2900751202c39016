//! What an operator has behind a TAP in place of the relay's own services: dnsmasq, and the kernel's NAT.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;
use crate::process::Process;

/// The host's address on the LAN.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);
/// The same with its prefix.
pub const HOST_NET: &str = "10.5.0.1/16";
/// A name that dnsmasq knows by itself, and its address.
pub const KNOWN: (&str, &str) = ("router.test", "10.5.0.1");

/// Has the kernel forward what comes from the LAN, under its own address at `way_out`.
///
/// # Errors
/// When nft fails.
pub fn masquerade(host: &Namespace, way_out: &str) -> Result<()> {
    host.sysctl("net/ipv4/ip_forward", "1")?;
    let rules = format!(
        "table ip uplink {{ chain out {{ type nat hook postrouting priority 100; oifname \"{way_out}\" masquerade; }}; }}"
    );
    host.exec("nft", &[&rules])?;
    Ok(())
}

/// dnsmasq on an interface of the host, with leases, the router's address and a name of its own.
///
/// # Errors
/// When it does not start.
pub fn dnsmasq(host: &Namespace, interface: &str) -> Result<Process> {
    let (name, address) = KNOWN;
    let mut process = Process::start(
        host.command("dnsmasq")
            .args(["--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--user=root"])
            .args([
                "--bind-interfaces",
                "--except-interface=lo",
                "--no-resolv",
                "--no-hosts",
                "--leasefile-ro",
            ])
            .args(["--dhcp-range=10.5.0.2,10.5.254.254,255.255.0.0,15m", "--pid-file"])
            .arg(format!("--interface={interface}"))
            .arg(format!("--host-record={name},{address}")),
    )?;
    process.wait_for_line(Duration::from_secs(10), |line| line.contains("started").then_some(()))?;
    Ok(process)
}
