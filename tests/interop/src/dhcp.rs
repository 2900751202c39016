//! DHCP clients that others wrote, run inside a guest's namespace, and what they were told.
//!
//! Each runs with a script of ours that writes the lease to a file; what the client would keep between runs lies on a
//! file system that `ip netns exec` shows to it alone.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

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

/// udhcpc names an event by its first argument, the others by `reason`; each has its own names for the rest.
const SCRIPT: &str = r#"#!/bin/sh
case "$1$reason" in bound|BOUND) ;; *) exit 0 ;; esac
{
  echo "address ${ip:-$new_ip_address}"
  echo "mask ${mask:-$new_subnet_mask}"
  echo "router ${router:-$new_routers}"
  echo "dns ${dns:-$new_domain_name_servers}"
  echo "mtu ${mtu:-$new_interface_mtu}"
  echo "seconds ${lease:-$new_dhcp_lease_time}"
} >"${0%/*}/lease"
"#;

impl DhcpClient {
    /// Asks for a lease on `interface`.
    ///
    /// # Errors
    /// With the client's own words when no lease came.
    pub fn lease(self, namespace: &Namespace, interface: &str) -> Result<Lease> {
        let folder = Folder::new(namespace.name())?;
        let script = folder.script()?;
        match self {
            Self::Udhcpc => {
                let arguments = ["-i", interface, "-f", "-n", "-q", "-t", "10", "-T", "1", "-s", &script];
                namespace.exec("udhcpc", &arguments)?;
            }
            Self::Dhclient => {
                let mut command = namespace.command("dhclient");
                command.args(["-4", "-1", "-d", "-sf", &script, "-lf"]).arg(folder.0.join("leases"));
                command.arg("-pf").arg(folder.0.join("pid")).arg(interface);
                let mut client = Process::start(&mut command)?;
                client.wait_for_line(PATIENCE, |line| line.starts_with("bound to").then_some(()))?;
            }
            Self::Dhcpcd => {
                const PRIVATE: &str = "for at in /var/lib/dhcpcd /run; do \
                    mkdir -p $at && mount -t tmpfs none $at || exit; done; exec dhcpcd -4 -1 -B -c $0 $1";
                namespace.exec("sh", &["-c", PRIVATE, &script, interface])?;
            }
        }
        folder.lease()
    }
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("{name}-dhcp"));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn script(&self) -> Result<String> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.join("script");
        fs::write(&path, SCRIPT)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(path.to_string_lossy().into_owned())
    }

    fn lease(&self) -> Result<Lease> {
        let text = fs::read_to_string(Path::new(&self.0).join("lease")).context("the client had no lease")?;
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.split([' ', ',']).find(|word| !word.is_empty()))
        };
        let mask = value("mask").context("no subnet mask")?;
        Ok(Lease {
            address: value("address").context("no address")?.parse()?,
            prefix: match mask.parse::<Ipv4Addr>() {
                Ok(mask) => u8::try_from(mask.to_bits().leading_ones())?,
                Err(_) => mask.parse()?,
            },
            router: value("router").map(str::parse).transpose()?,
            dns: value("dns").map(str::parse).transpose()?,
            mtu: value("mtu").map(str::parse).transpose()?,
            seconds: value("seconds").context("no lease time")?.parse()?,
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}
