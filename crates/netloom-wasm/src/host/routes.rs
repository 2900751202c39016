//! Routes. One in the arena is the network's 16 bytes, then the gateway's.

use netloom_core::IpNet;
use netloom_core::host::Route;
use netloom_core::interface::InterfaceId;

use crate::boundary::{Instance, address, octets, with};
use crate::streams::SECOND_ADDRESS;

/// Length of a listed route: network and gateway, 16 bytes each, then family, prefix length, the gateway's family, and the interface's
/// number in 4 bytes, little-endian.
const ROUTE_BYTES: usize = 40;

exports! {
    /// Adds a route; 1 if it stands, 0 if the gateway or the interface does not fit it.
    fn add_route(interface: u32, family: u32, prefix: u32, via_family: u32) -> u32 {
        with(|instance| {
            let route = route(instance, interface, family, prefix, via_family);
            let (Some(route), Some(host)) = (route, &mut instance.machine) else { return 0 };
            u32::from(host.add_route(route).is_ok())
        })
    }

    /// Removes a route; 1 if there was one.
    fn remove_route(interface: u32, family: u32, prefix: u32, via_family: u32) -> u32 {
        with(|instance| {
            let route = route(instance, interface, family, prefix, via_family);
            let (Some(route), Some(host)) = (route, &mut instance.machine) else { return 0 };
            u32::from(host.remove_route(&route))
        })
    }

    /// Lists routes in the arena, leaving out the first `skip`; how many it lists.
    fn list_routes(skip: u32) -> u32 {
        with(|instance| {
            let Some(host) = &instance.machine else { return 0 };
            let places = instance.arena.chunks_exact_mut(ROUTE_BYTES);
            places.zip(host.routes().iter().skip(skip as usize)).map(|(place, route)| lay(place, route)).count() as u32
        })
    }
}

fn route(instance: &Instance, interface: u32, family: u32, prefix: u32, via_family: u32) -> Option<Route> {
    Some(Route {
        net: IpNet::new(address(&instance.arena, family)?, prefix as u8),
        via: address(&instance.arena[SECOND_ADDRESS..], via_family),
        interface: InterfaceId::from_number(interface),
    })
}

fn lay(place: &mut [u8], route: &Route) {
    let (family, net) = octets(route.net.address());
    let (via_family, via) = route.via.map_or((0, [0; 16]), octets);
    place[..16].copy_from_slice(&net);
    place[16..32].copy_from_slice(&via);
    place[32..35].copy_from_slice(&[family, route.net.prefix(), via_family]);
    place[36..].copy_from_slice(&route.interface.number().to_le_bytes());
}
