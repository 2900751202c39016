//! DHCP clients that others wrote, run inside a guest's namespace, and what they were told.
//!
//! Each runs with a script of ours that writes the lease to a file; what the client would keep between runs lies on a
//! file system that `ip netns exec` shows to it alone.

use std::fs::{self, DirEntry};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::namespace::Namespace;
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(20);

/// A program that asks for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpClient {
    /// Busybox's, as in small guests.
    Udhcpc,
    /// ISC's.
    Dhclient,
    /// Roy Marples's, which probes the address by ARP before it takes it (RFC 5227).
    Dhcpcd,
    /// systemd's.
    Networkd,
}

/// What the client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The guest's address.
    pub address: Ipv4Addr,
    /// The prefix length.
    pub prefix: u8,
    /// The default router.
    pub router: Option<Ipv4Addr>,
    /// The first DNS server.
    pub dns: Option<Ipv4Addr>,
    /// The interface's MTU, if option 26 came.
    pub mtu: Option<u16>,
    /// Seconds it lasts.
    pub seconds: u32,
}

impl Lease {
    fn parse(text: &str) -> Result<Self> {
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.split([' ', ',']).find(|word| !word.is_empty()))
        };
        let mask = value("netmask").context("no subnet mask")?;
        Ok(Self {
            address: value("address").context("no address")?.parse()?,
            prefix: match mask.parse::<Ipv4Addr>() {
                Ok(mask) => u8::try_from(mask.to_bits().leading_ones())?,
                Err(_) => mask.parse()?,
            },
            router: value("router").map(str::parse).transpose()?,
            dns: value("dns").map(str::parse).transpose()?,
            mtu: value("mtu").map(str::parse).transpose()?,
            seconds: value("lifetime").context("no lease time")?.parse()?,
        })
    }
}

/// udhcpc names an event by its first argument, the others by `reason`; each has its own names for the rest.
const SCRIPT: &str = r#"#!/bin/sh
case "$1$reason" in bound|BOUND) ;; *) exit 0 ;; esac
{
  echo "address ${ip:-$new_ip_address}"
  echo "netmask ${mask:-$new_subnet_mask}"
  echo "router ${router:-$new_routers}"
  echo "dns ${dns:-$new_domain_name_servers}"
  echo "mtu ${mtu:-$new_interface_mtu}"
  echo "lifetime ${lease:-$new_dhcp_lease_time}"
} >"${0%/*}/lease"
"#;

/// Started without systemd as process 1: with files of its own under `/run`, and a `/sys` from which it concludes, as in
/// a container, that udev has nothing to say about the interface.
const NETWORKD: &str = "mount -o remount,bind,ro /sys && mount -t tmpfs none /run && mkdir -p /run/systemd/network && \
    printf '[Match]\\nName=%s\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=no\\n[DHCPv4]\\nUseMTU=yes\\n' $0 \
    >/run/systemd/network/guest.network && exec /lib/systemd/systemd-networkd";

const DHCPCD: &str = "for at in /var/lib/dhcpcd /run; do mkdir -p $at && mount -t tmpfs none $at || exit; done; \
    exec dhcpcd -4 -1 -B -c $0 $1";

impl DhcpClient {
    /// Asks for a lease on `interface`.
    ///
    /// # Errors
    /// With the client's own words when no lease came.
    pub fn lease(self, namespace: &Namespace, interface: &str) -> Result<Lease> {
        // Under this name a later run removes what a killed one left.
        let folder = tempfile::Builder::new().prefix(&format!("{}-dhcp-", namespace.name())).tempdir()?;
        let folder = folder.path();
        let script = script(folder)?;
        match self {
            Self::Udhcpc => {
                let arguments = ["-i", interface, "-f", "-n", "-q", "-t", "10", "-T", "1", "-s", &script];
                namespace.exec("udhcpc", &arguments)?;
            }
            Self::Dhclient => {
                let mut command = namespace.command("dhclient");
                command.args(["-4", "-1", "-d", "-sf", &script, "-lf"]).arg(folder.join("leases"));
                command.arg("-pf").arg(folder.join("pid")).arg(interface);
                let mut client = Process::start(&mut command)?;
                client.wait_for_line(PATIENCE, |line| line.starts_with("bound to").then_some(()))?;
            }
            Self::Dhcpcd => {
                namespace.exec("sh", &["-c", DHCPCD, &script, interface])?;
            }
            Self::Networkd => {
                let mut client = Process::start(namespace.command("sh").args(["-c", NETWORKD, interface]))?;
                client.wait_for_line(PATIENCE, |line| line.contains("DHCPv4 address").then_some(()))?;
                return networkd_lease(client.pid());
            }
        }
        let text = fs::read_to_string(folder.join("lease")).context("the client had no lease")?;
        Lease::parse(&text)
    }
}

/// What systemd-networkd has written of its one lease, which it does soon after it has told of it.
fn networkd_lease(pid: u32) -> Result<Lease> {
    let leases = Path::new("/proc").join(pid.to_string()).join("root/run/systemd/netif/leases");
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The file has the interface's number for a name; one still being written has another.
        let named = |file: &DirEntry| file.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if let Some(file) = fs::read_dir(&leases)?.flatten().find(named) {
            return Lease::parse(&fs::read_to_string(file.path())?.replace('=', " ").to_lowercase());
        }
        ensure!(Instant::now() < deadline, "systemd-networkd wrote no lease");
        thread::yield_now();
    }
}

/// The script in a folder of its own, where its lease goes.
fn script(folder: &Path) -> Result<String> {
    let path = folder.join("script");
    fs::write(&path, SCRIPT)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    Ok(path.to_string_lossy().into_owned())
}
