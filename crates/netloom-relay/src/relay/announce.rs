//! What a relay prints once it serves.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::bind::Addresses;
use crate::config::{Config, DEFAULT_LAN, QemuAddress};
use crate::listen::Scheme;

/// Says where the relay listens and what to paste into v86. Programs wait for the lines `listening on …`.
pub(super) fn announce(config: &Config, bound: &Addresses) -> io::Result<()> {
    let mut text = String::new();
    for (address, scheme) in &bound.listen {
        text += &match scheme {
            Scheme::Http => format!("listening on ws://{address}/\n"),
            Scheme::Https => format!("listening on wss://{address}/\n"),
            Scheme::Redirect => format!("redirecting http://{address}/ to port {}\n", bound.https_port()),
        };
    }
    for listen in &bound.qemu {
        let address = match &listen.address {
            QemuAddress::Tcp(address) => QemuAddress::Tcp(reachable(*address)),
            unix @ QemuAddress::Unix(_) => unix.clone(),
        };
        text += &format!("listening on {} for QEMU, LAN {}\n", listen.address, listen.lan);
        text += &format!("  in QEMU: -netdev stream,id=n0,server=off,{}\n", address.netdev());
    }
    for (lan, forward) in &bound.forwards {
        text += &format!(
            "forwarding {} to port {} of guest {}, LAN {lan}\n",
            forward.listen, forward.port, forward.guest
        );
    }
    if let Some(path) = &bound.control {
        text += &format!("control on unix:{}\n", path.display());
    }
    for (lan, tap) in config.lans.iter().flat_map(|lan| lan.taps.iter().map(move |tap| (lan, tap))) {
        text += &format!("TAP {tap}, LAN {}\n", lan.name);
    }
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    let reachable = bound.listen.first().map(|(address, _)| reachable(*address));
    let token = if config.tokens.is_some() { "t/TOKEN/" } else { "" };
    for (lan, address) in config.lans.iter().filter_map(|lan| Some((lan, reachable?))) {
        let path = if lan.name == DEFAULT_LAN { String::new() } else { format!("lan/{}", lan.name) };
        text += &format!("LAN {}: {}, gateway {}", lan.name, lan.subnet, lan.gateway_address());
        if let Some(ipv6) = lan.ipv6() {
            text += &format!("; {}, gateway {}", ipv6.prefix, ipv6.gateway_address);
        }
        text.push('\n');
        text += &format!(
            "  in v86: net_device: {{ type: \"virtio\", relay_url: \"{scheme}://{address}/{token}{path}\" }}\n"
        );
    }
    let mut out = io::stdout().lock();
    // A closed standard output is no reason not to serve.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// The address to show for a listener: a listener on every address is reached on this host's loopback at least.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback: IpAddr =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}
