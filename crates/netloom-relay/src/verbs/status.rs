//! `netloom status`: the relay, its LANs, their clients and, if asked for, the flows.

use std::cmp::Reverse;

use serde_json::json;

use super::connect::Relay;
use super::table::{Table, bytes, duration};
use super::{Failure, path, said};
use crate::cli::control::RelayAddress;
use crate::control::{ClientStatus, FlowStatus, LanStatus, Status};

pub(super) async fn run(
    address: &RelayAddress,
    lan: Option<&str>,
    with_flows: bool,
) -> Result<String, Failure> {
    let mut relay = Relay::connect(address).await?;
    let status: Status = relay.read("/api/status").await?;
    let lans: Vec<LanStatus> = relay.read(&path("/api/lans", &[("lan", lan)])).await?;
    let clients: Vec<ClientStatus> = relay.read(&path("/api/clients", &[("lan", lan)])).await?;
    let mut all = json!({ "relay": status, "lans": lans, "clients": clients });
    let mut shown = vec![about(&status), of_lans(&lans), of_clients(&clients)];
    if with_flows {
        let mut flows: Vec<FlowStatus> = relay.read(&path("/api/flows", &[("lan", lan)])).await?;
        flows.sort_by_key(|flow| Reverse(flow.bytes_in + flow.bytes_out));
        shown.push(of_flows(&flows));
        all["flows"] = json!(flows);
    }
    Ok(said(address, &all, || shown.join("\n")))
}

fn about(status: &Status) -> String {
    let wisp = status.wisp_clients.map(|count| format!(", {count} clients of the Wisp server"));
    format!(
        "netloom {}, up {}, {} of {} connections{}\n",
        status.version,
        duration(status.uptime_s),
        status.connections,
        status.max_connections,
        wisp.unwrap_or_default()
    )
}

fn of_lans(lans: &[LanStatus]) -> String {
    let columns = ["LAN", "SUBNET", "GATEWAY", "MTU", "CLIENTS", "LEASES", "FLOWS", "IN", "OUT", "DROPS"];
    let mut table = Table::new(&columns);
    for lan in lans {
        table.row(vec![
            lan.name.clone(),
            lan.subnet.clone(),
            lan.gateway.to_string(),
            lan.mtu.to_string(),
            format!("{}/{}", lan.clients, lan.max_clients),
            lan.leases.to_string(),
            lan.flows.to_string(),
            bytes(lan.passed.bytes_in),
            bytes(lan.passed.bytes_out),
            lan.drops.values().sum::<u64>().to_string(),
        ]);
    }
    table.to_string()
}

fn of_clients(clients: &[ClientStatus]) -> String {
    if clients.is_empty() {
        return "no clients\n".to_owned();
    }
    let columns = ["CLIENT", "LAN", "FROM", "KIND", "FOR", "MAC", "ADDRESS", "NAME", "IN", "OUT"];
    let mut table = Table::new(&columns);
    for client in clients {
        let addresses = client.addresses.iter().filter(|address| address.is_ipv4());
        table.row(vec![
            client.id.to_string(),
            client.lan.clone(),
            client.peer.clone(),
            client.kind.clone(),
            duration(client.connected_s),
            client.macs.join(","),
            addresses.map(ToString::to_string).collect::<Vec<_>>().join(","),
            client.name.clone().unwrap_or_default(),
            bytes(client.passed.bytes_in),
            bytes(client.passed.bytes_out),
        ]);
    }
    table.to_string()
}

fn of_flows(flows: &[FlowStatus]) -> String {
    if flows.is_empty() {
        return "no flows\n".to_owned();
    }
    let mut table = Table::new(&["FLOW", "LAN", "GUEST", "TARGET", "CLIENT", "IN", "OUT"]);
    for flow in flows {
        table.row(vec![
            flow.protocol.clone(),
            flow.lan.clone(),
            flow.guest.to_string(),
            flow.target.to_string(),
            flow.client.map(|client| client.to_string()).unwrap_or_default(),
            bytes(flow.bytes_in),
            bytes(flow.bytes_out),
        ]);
    }
    table.to_string()
}
