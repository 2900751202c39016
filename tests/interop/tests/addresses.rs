//! How Linux guests come by their addresses: DHCP clients of four makes, and none.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::Ipv4Addr;

use netloom_interop::dhcp::DhcpClient;
use netloom_interop::lab::{GATEWAY, Lab};
use netloom_interop::transfer::{Kind, transfer};

const MIB: u64 = 1 << 20;

#[test]
fn dhcp_clients_of_four_makes_share_a_lan() {
    let lab = Lab::new(&["--mtu", "1400"]).unwrap();
    let mut guests = Vec::new();
    for client in [DhcpClient::Udhcpc, DhcpClient::Dhclient, DhcpClient::Dhcpcd, DhcpClient::Networkd] {
        let guest = lab.guest("/", None).unwrap();
        let lease = guest.lease_by(client).unwrap();
        assert_eq!((lease.router, lease.dns, lease.prefix), (Some(GATEWAY), Some(GATEWAY), 24), "{client:?}");
        assert_eq!(lease.mtu, Some(1400), "{client:?}");
        assert!((100..255).contains(&lease.address.octets()[3]), "{client:?}: {lease:?}");
        assert!(lease.seconds >= 60, "{client:?}: {lease:?}");
        guests.push((guest, lease.address));
    }
    let mut addresses: Vec<_> = guests.iter().map(|(_, address)| *address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), guests.len(), "each has an address of its own");
    for (guest, _) in &guests {
        transfer(&guest.namespace, lab.transfers.address(), Kind::Download, MIB, 1).unwrap();
        assert!(addresses.iter().all(|address| guest.pings(*address, 1)));
    }
}

#[test]
fn a_guest_with_a_static_address_is_online_at_once() {
    for flags in [&[][..], &["--no-dhcp"]] {
        let lab = Lab::new(flags).unwrap();
        let guest = lab.guest("/", None).unwrap();
        guest.use_address(Ipv4Addr::new(192, 168, 86, 50), 24).unwrap();
        guest.namespace.ip(&["route", "add", "default", "via", &GATEWAY.to_string()]).unwrap();
        // Its first packet is TCP's SYN, after ARP for the gateway.
        for kind in [Kind::Download, Kind::Upload] {
            transfer(&guest.namespace, lab.transfers.address(), kind, MIB, 1).unwrap();
        }
    }
}
