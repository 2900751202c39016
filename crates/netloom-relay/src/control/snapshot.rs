//! What there is at a moment, as the API tells it. Times are in seconds, sizes in bytes; a client's `id` is given once in a relay's life.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use netloom_core::{Lan, PortId, Protocol};
use serde::{Deserialize, Serialize};

use crate::lan::{LanTask, Traffic};

/// The relay.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) uptime_s: u64,
    /// Connections of the listeners, guests included.
    pub(crate) connections: usize,
    pub(crate) max_connections: usize,
    /// Clients of the Wisp server, if there is one.
    pub(crate) wisp_clients: Option<usize>,
}

/// Frames that passed and their bytes: in from guests, out to them.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Passed {
    pub(crate) frames_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) frames_out: u64,
    pub(crate) bytes_out: u64,
}

impl From<&Traffic> for Passed {
    fn from(traffic: &Traffic) -> Self {
        Self {
            frames_in: traffic.frames_in.get(),
            bytes_in: traffic.bytes_in.get(),
            frames_out: traffic.frames_out.get(),
            bytes_out: traffic.bytes_out.get(),
        }
    }
}

/// A LAN.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct LanStatus {
    pub(crate) name: String,
    pub(crate) subnet: String,
    pub(crate) ipv6: Option<String>,
    /// The gateway's address; it answers there even where it leads nowhere.
    pub(crate) gateway: IpAddr,
    pub(crate) gateway_mac: String,
    pub(crate) mtu: u16,
    pub(crate) clients: usize,
    pub(crate) max_clients: usize,
    pub(crate) macs: usize,
    pub(crate) leases: usize,
    pub(crate) flows: usize,
    pub(crate) forwards: usize,
    pub(crate) captures: usize,
    /// All frames since the LAN began, those of clients who left included.
    #[serde(flatten)]
    pub(crate) passed: Passed,
    /// What was dropped, by reason; reasons that never were are left out.
    pub(crate) drops: BTreeMap<String, u64>,
}

/// A client of a LAN.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ClientStatus {
    pub(crate) id: u64,
    pub(crate) lan: String,
    pub(crate) peer: String,
    /// How it speaks: `websocket`, `qemu-websocket`, `qemu`, `tap`.
    pub(crate) kind: String,
    pub(crate) connected_s: u64,
    pub(crate) macs: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
    /// The name that it leased by.
    pub(crate) name: Option<String>,
    #[serde(flatten)]
    pub(crate) passed: Passed,
}

/// A DHCP lease.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct LeaseStatus {
    pub(crate) lan: String,
    pub(crate) address: IpAddr,
    pub(crate) mac: String,
    pub(crate) name: Option<String>,
    /// Whether the configuration gives this address to this card.
    pub(crate) fixed: bool,
    pub(crate) expires_s: u64,
    /// The client who has the card now.
    pub(crate) client: Option<u64>,
}

/// A flow between a guest and the outside.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct FlowStatus {
    pub(crate) lan: String,
    /// `tcp`, `udp` or `ping`, whose guest's port is the identifier.
    pub(crate) protocol: String,
    pub(crate) guest: SocketAddr,
    pub(crate) target: SocketAddr,
    pub(crate) mac: Option<String>,
    pub(crate) client: Option<u64>,
    /// Payload from the guest that the outside has taken.
    pub(crate) bytes_in: u64,
    /// Payload to the guest.
    pub(crate) bytes_out: u64,
}

/// An entry of a LAN's MAC table.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct MacStatus {
    pub(crate) lan: String,
    pub(crate) mac: String,
    pub(crate) client: Option<u64>,
    /// Since its last frame.
    pub(crate) silent_s: u64,
}

pub(super) fn lan(lan: &LanTask) -> LanStatus {
    let total = Traffic::default();
    total.add(&lan.past_traffic);
    for member in lan.members.borrow().values() {
        total.add(&member.traffic);
    }
    let machine = lan.machine.borrow();
    let settings = lan.settings();
    LanStatus {
        name: settings.name.clone(),
        subnet: settings.subnet.to_string(),
        ipv6: settings.ipv6.map(|prefix| prefix.to_string()),
        gateway: settings.gateway_address().into(),
        gateway_mac: settings.gateway_mac.to_string(),
        mtu: settings.mtu,
        clients: lan.members.borrow().len(),
        max_clients: settings.max_clients,
        macs: machine.macs().count(),
        leases: machine.leases(lan.clock.now()).count(),
        flows: machine.flow_ids().count(),
        forwards: crate::forward::list(lan).len(),
        captures: lan.captures.count(),
        passed: Passed::from(&total),
        drops: machine.drops().nonzero().map(|(drop, count)| (drop.name().to_owned(), count)).collect(),
    }
}

pub(super) fn clients(lan: &LanTask) -> Vec<ClientStatus> {
    let machine = lan.machine.borrow();
    let mut macs = BTreeMap::<PortId, Vec<_>>::new();
    for (mac, port, _) in machine.macs() {
        macs.entry(port).or_default().push(mac);
    }
    let mut addresses = BTreeMap::<PortId, (Vec<IpAddr>, Option<String>)>::new();
    for neighbor in machine.neighbors(lan.clock.now()) {
        let (known, name) = addresses.entry(neighbor.guest.port).or_default();
        known.push(neighbor.address);
        *name = name.take().or_else(|| neighbor.name.map(str::to_owned));
    }
    let client = |(port, member): (&PortId, &std::rc::Rc<crate::lan::Member>)| {
        let mut macs = macs.remove(port).unwrap_or_default();
        macs.sort_unstable();
        let (addresses, name) = addresses.remove(port).unwrap_or_default();
        ClientStatus {
            id: member.id,
            lan: lan.settings().name.clone(),
            peer: member.peer.clone(),
            kind: member.kind.to_string(),
            connected_s: member.joined().elapsed().as_secs(),
            macs: macs.iter().map(ToString::to_string).collect(),
            addresses,
            name,
            passed: Passed::from(&member.traffic),
        }
    };
    let mut clients: Vec<_> = lan.members.borrow().iter().map(client).collect();
    clients.sort_unstable_by_key(|client| client.id);
    clients
}

pub(super) fn leases(lan: &LanTask) -> Vec<LeaseStatus> {
    let (machine, now) = (lan.machine.borrow(), lan.clock.now());
    let lease = |lease: &netloom_core::service::dhcp::Lease| LeaseStatus {
        lan: lan.settings().name.clone(),
        address: lease.address.into(),
        mac: lease.mac.to_string(),
        name: lease.name.clone(),
        fixed: lan.settings().leases.contains(&(lease.mac, lease.address)),
        expires_s: lease.expires.since(now).as_secs(),
        client: machine.port_of(lease.mac).and_then(|port| member(lan, port)),
    };
    machine.leases(now).map(lease).collect()
}

pub(super) fn flows(lan: &LanTask) -> Vec<FlowStatus> {
    let (machine, moving) = (lan.machine.borrow(), lan.flows.borrow());
    let flow = |id| {
        let (protocol, guest, target) = machine.describe(id)?;
        let of = machine.guest_of_flow(id);
        let (bytes_in, bytes_out) = moving.get(&id).map(|flow| flow.moved().counts()).unwrap_or_default();
        Some(FlowStatus {
            lan: lan.settings().name.clone(),
            protocol: match protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                Protocol::Ping => "ping",
            }
            .to_owned(),
            guest,
            target,
            mac: of.map(|guest| guest.mac.to_string()),
            client: of.and_then(|guest| member(lan, guest.port)),
            bytes_in,
            bytes_out,
        })
    };
    machine.flow_ids().filter_map(flow).collect()
}

pub(super) fn macs(lan: &LanTask) -> Vec<MacStatus> {
    let (machine, now) = (lan.machine.borrow(), lan.clock.now());
    let mut table: Vec<_> = machine.macs().collect();
    table.sort_unstable_by_key(|(mac, ..)| *mac);
    let entry = |(mac, port, seen): (netloom_core::MacAddr, PortId, netloom_core::Instant)| MacStatus {
        lan: lan.settings().name.clone(),
        mac: mac.to_string(),
        client: member(lan, port),
        silent_s: now.since(seen).as_secs(),
    };
    table.into_iter().map(entry).collect()
}

/// The clients that a text names: by number, MAC address, IP address or leased name.
pub(super) fn clients_named(lan: &LanTask, named: &str) -> Vec<u64> {
    if let Ok(id) = named.parse::<u64>() {
        return lan.members.borrow().values().map(|member| member.id).filter(|known| *known == id).collect();
    }
    let machine = lan.machine.borrow();
    let ports: Vec<PortId> = if let Ok(mac) = named.parse() {
        machine.port_of(mac).into_iter().collect()
    } else {
        ports_of(&machine, lan.clock.now(), named)
    };
    ports.into_iter().filter_map(|port| member(lan, port)).collect()
}

/// Where an address or a name is used.
fn ports_of(machine: &Lan, now: netloom_core::Instant, named: &str) -> Vec<PortId> {
    let address: Option<IpAddr> = named.parse().ok();
    let name = named.strip_suffix(".lan").unwrap_or(named);
    let is_meant = |neighbor: &netloom_core::Neighbor<'_>| match address {
        Some(address) => neighbor.address == address,
        None => neighbor.name.is_some_and(|known| known.eq_ignore_ascii_case(name)),
    };
    let mut ports: Vec<_> =
        machine.neighbors(now).filter(is_meant).map(|neighbor| neighbor.guest.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn member(lan: &LanTask, port: PortId) -> Option<u64> {
    lan.members.borrow().get(&port).map(|member| member.id)
}
