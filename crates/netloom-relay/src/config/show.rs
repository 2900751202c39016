//! The configuration in effect as the TOML that would give it.

use std::fmt::Display;
use std::net::IpAddr;

use toml::{Table, Value};

use super::{Config, EgressSettings, LanSettings, Tls};

pub(super) fn to_toml(config: &Config) -> String {
    let mut listen = Table::new();
    listen.insert("addresses".into(), texts(&config.listen));
    listen.insert("plain".into(), texts(&config.listen_plain));
    listen.insert("redirect".into(), texts(&config.listen_redirect));
    listen.insert("qemu".into(), texts(&config.qemu_listen));
    if let Some(Tls { certificate, key }) = &config.tls {
        listen.insert("tls_cert".into(), certificate.display().to_string().into());
        listen.insert("tls_key".into(), key.display().to_string().into());
    }
    listen.insert("origins".into(), texts(&config.origins));
    listen.insert("public_names".into(), texts(&config.public_names));
    listen.insert("max_connections".into(), number(config.max_connections));
    listen.insert("drain_timeout_s".into(), i64::from(config.drain_timeout_s).into());
    listen.insert("root".into(), config.root.to_string().into());
    let mut root = Table::new();
    root.insert("listen".into(), listen.into());
    root.insert("wisp".into(), super::wisp::show(config.wisp.as_ref()).into());
    if let Some(tokens) = &config.tokens {
        let tokens = Value::from(tokens.display().to_string());
        root.insert("access".into(), Table::from_iter([("tokens".to_owned(), tokens)]).into());
    }
    if let Some(filter) = &config.log {
        root.insert(
            "log".into(),
            Table::from_iter([("filter".to_owned(), Value::from(filter.clone()))]).into(),
        );
    }
    if let Some(cors) = &config.cors {
        root.insert("cors".into(), super::cors::to_table(cors).into());
    }
    root.insert("limits".into(), super::limits::to_table(&config.limits).into());
    root.insert("hosts".into(), super::hosts::to_table(&config.hosts).into());
    root.insert("control".into(), super::control::show(&config.control).into());
    root.insert("egress".into(), egress(&config.egress));
    root.insert("lan".into(), config.lans.iter().map(lan).collect::<Vec<_>>().into());
    root.to_string()
}

fn egress(egress: &EgressSettings) -> Value {
    let mut table = Table::from_iter([
        ("allow".to_owned(), texts(&egress.allow)),
        ("deny".to_owned(), texts(&egress.deny)),
        ("allow_only".to_owned(), egress.allow_only.into()),
        ("resolvers".to_owned(), texts(&egress.resolvers)),
        ("records".to_owned(), records(&egress.records)),
    ]);
    if let Some(proxy) = &egress.upstream {
        table.insert("upstream".into(), proxy.to_string().into());
    }
    table.into()
}

fn lan(lan: &LanSettings) -> Value {
    Value::Table(Table::from_iter([
        ("name".to_owned(), lan.name.clone().into()),
        ("subnet".to_owned(), lan.subnet.to_string().into()),
        ("ipv6".to_owned(), lan.ipv6.map_or_else(|| "off".to_owned(), |prefix| prefix.to_string()).into()),
        ("mtu".to_owned(), i64::from(lan.mtu).into()),
        ("gateway_mac".to_owned(), lan.gateway_mac.to_string().into()),
        ("pool".to_owned(), format!("{}-{}", lan.pool.0, lan.pool.1).into()),
        ("lease_s".to_owned(), i64::from(lan.lease_s).into()),
        ("gateway".to_owned(), lan.gateway.into()),
        ("dhcp".to_owned(), lan.dhcp.into()),
        ("dns".to_owned(), lan.dns.into()),
        ("isolate".to_owned(), lan.isolate.into()),
        ("host_loopback".to_owned(), lan.host_loopback.into()),
        ("private".to_owned(), lan.private.into()),
        ("allow".to_owned(), texts(&lan.allow)),
        ("deny".to_owned(), texts(&lan.deny)),
        ("allow_only".to_owned(), lan.allow_only.into()),
        ("resolvers".to_owned(), texts(&lan.resolvers)),
        ("forwards".to_owned(), texts(&lan.forwards)),
        ("taps".to_owned(), texts(&lan.taps)),
        ("max_clients".to_owned(), number(lan.max_clients)),
        ("resume_s".to_owned(), i64::from(lan.resume_s).into()),
        ("resume_by_mac".to_owned(), lan.resume_by_mac.to_string().into()),
        ("records".to_owned(), records(&lan.records)),
        (
            "leases".to_owned(),
            pairs(lan.leases.iter().map(|(m, a)| (m.to_string(), a.to_string())).collect()),
        ),
    ]))
}

fn pairs(pairs: Vec<(String, String)>) -> Value {
    Value::Table(pairs.into_iter().map(|(k, v)| (k, v.into())).collect())
}

fn records(records: &[(String, Vec<IpAddr>)]) -> Value {
    pairs(records.iter().map(|(name, addresses)| (name.clone(), joined(addresses))).collect())
}

pub(super) fn texts<T: Display>(values: &[T]) -> Value {
    values.iter().map(|value| Value::from(value.to_string())).collect::<Vec<_>>().into()
}

fn joined(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

pub(super) fn number(value: usize) -> Value {
    Value::from(i64::try_from(value).unwrap_or(i64::MAX))
}
