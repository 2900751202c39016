//! A LAN's IPv6 prefix: `off`, `ula`, or one that is written out.

use std::net::IpAddr;

use netloom_core::policy::default_rule;
use netloom_core::{IpNet, Ipv6Net, Rule};
use sha1::{Digest as _, Sha1};

/// Length of a LAN's prefix: guests form addresses in no other (RFC 4862 section 5.5.3, RFC 4291 section 2.5.1).
const PREFIX_BITS: u8 = 64;
/// The least MTU that IPv6 goes over (RFC 8200 section 5).
const MIN_MTU: u16 = 1280;

/// The prefix that `text` means for a LAN; `None` for `off`.
pub(super) fn parse(text: &str, lan: &str, mtu: u16) -> Result<Option<Ipv6Net>, String> {
    let prefix = match text {
        "off" => return Ok(None),
        "ula" => unique_local(lan),
        _ => written(text)?,
    };
    if mtu < MIN_MTU {
        return Err(format!(
            "IPv6 needs an MTU of {MIN_MTU} bytes, and the LAN's is {mtu}; raise it, or write off"
        ));
    }
    Ok(Some(prefix))
}

fn written(text: &str) -> Result<Ipv6Net, String> {
    let form = "write off, ula, or a prefix of 64 bits, as fd12:3456:789a::/64";
    let net: IpNet = text.parse().map_err(|_| format!("`{text}` is not an IPv6 prefix; {form}"))?;
    let IpAddr::V6(address) = net.address() else {
        return Err(format!("`{text}` is not IPv6; {form}"));
    };
    match default_rule(address.into()) {
        None => {}
        Some(Rule::Private) if address.is_unique_local() => {}
        Some(rule) => {
            return Err(format!(
                "`{text}` cannot be a LAN ({rule}); write ula, or a prefix that is routed to you"
            ));
        }
    }
    if net.prefix() != PREFIX_BITS {
        return Err(format!("`{text}` has a prefix of {}; {form}", net.prefix()));
    }
    let prefix = Ipv6Net::new(address, PREFIX_BITS);
    if prefix.network() != address {
        return Err(format!("`{text}` has host bits set; write {prefix}"));
    }
    Ok(prefix)
}

/// The unique local prefix of a LAN (RFC 4193 section 3.2.2, from step 4): `fd`, 40 bits of the SHA-1 of the LAN's name, subnet 0.
///
/// The name stands where the RFC has the time and a MAC address, so that the prefix is the same after a restart: guests restored from a
/// snapshot keep their addresses. It is the same on every relay too, which harms nobody: behind the relay's NAT no other site sees it.
fn unique_local(name: &str) -> Ipv6Net {
    let digest = Sha1::digest(name.as_bytes());
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..6].copy_from_slice(&digest[digest.len() - 5..]);
    Ipv6Net::new(octets.into(), PREFIX_BITS)
}
