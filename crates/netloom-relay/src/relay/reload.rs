//! Another configuration for a relay at work: what can change under its guests does, and the rest is named and stays as it is until a restart.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use super::bind;
use super::start::{Lan, Running};
use crate::config::{Config, LanSettings};
use crate::tls;

/// Keeps logging by another filter.
pub type SetLogFilter = Box<dyn Fn(Option<&str>) + Send>;

/// Whether two configurations differ in something.
type Differ = fn(&Config, &Config) -> bool;
/// Puts something of a LAN that was in place of what is wanted; tells whether they differed.
type Keep = fn(&LanSettings, &mut LanSettings) -> bool;

/// What of a configuration takes a restart.
const FIXED: &[(&str, Differ)] = &[
    ("listen.addresses", |a, b| a.listen != b.listen),
    ("listen.qemu", |a, b| a.qemu_listen != b.qemu_listen),
    ("listen.plain and redirect", |a, b| {
        (&a.listen_plain, &a.listen_redirect) != (&b.listen_plain, &b.listen_redirect)
    }),
    ("TLS on or off", |a, b| a.tls.is_some() != b.tls.is_some()),
    ("tokens", |a, b| a.tokens != b.tokens),
    ("listen.max_connections", |a, b| a.max_connections != b.max_connections),
    ("listen.root", |a, b| a.root != b.root),
    ("wisp", |a, b| a.wisp != b.wisp),
    ("cors", |a, b| a.cors != b.cors),
    ("control", |a, b| a.control != b.control),
];

/// What of a LAN takes a restart.
const FIXED_OF_LAN: &[(&str, Keep)] = &[
    ("subnet", |old, new| keep(&old.subnet, &mut new.subnet)),
    ("ipv6", |old, new| keep(&old.ipv6, &mut new.ipv6)),
    ("mtu", |old, new| keep(&old.mtu, &mut new.mtu)),
    ("gateway_mac", |old, new| keep(&old.gateway_mac, &mut new.gateway_mac)),
    ("pool", |old, new| keep(&old.pool, &mut new.pool)),
    ("lease_s", |old, new| keep(&old.lease_s, &mut new.lease_s)),
    ("gateway", |old, new| keep(&old.gateway, &mut new.gateway)),
    ("dhcp", |old, new| keep(&old.dhcp, &mut new.dhcp)),
    ("dns", |old, new| keep(&old.dns, &mut new.dns)),
    ("host_loopback", |old, new| keep(&old.host_loopback, &mut new.host_loopback)),
    ("max_clients", |old, new| keep(&old.max_clients, &mut new.max_clients)),
];

fn keep<T: Copy + PartialEq>(old: &T, new: &mut T) -> bool {
    mem::replace(new, *old) != *old
}

/// Has a relay go by `new` in place of `config`, which becomes what is in effect. Tells what was done and what was kept, in lines.
pub(super) async fn apply(
    running: &mut Running,
    config: &mut Config,
    new: Config,
    set_log_filter: &SetLogFilter,
) -> Vec<String> {
    let mut done = Done::default();
    if new.log != config.log {
        set_log_filter(new.log.as_deref());
        done.changed("log.filter");
    }
    if (&new.public_names, &new.origins) != (&config.public_names, &config.origins) {
        running.entrance.set_gate(&new);
        done.changed("listen.public_names and origins");
    }
    if new.hosts != config.hosts {
        running.entrance.set_hosts(new.hosts.clone());
        done.changed("hosts");
    }
    if let (Some(tls), Some(_)) = (&new.tls, &config.tls) {
        match tls::server_config(tls) {
            Ok(read) => {
                running.entrance.set_tls(TlsAcceptor::from(Arc::new(read)));
                config.tls = new.tls.clone();
                done.lines.push("certificate and key: read again".to_owned());
            }
            Err(error) => done.lines.push(format!("certificate and key: {error}; the old ones stay")),
        }
    }
    if new.limits != config.limits {
        running.limits.apply(&new.limits);
        for lan in &running.lans {
            // A LAN that has stopped has nobody to limit.
            _ = lan.handle.ask(|lan| lan.heed_limits()).await;
        }
        done.changed("limits");
    }
    let is_egress_new = new.egress != config.egress;
    if is_egress_new {
        running.egress.set(&new.egress);
        done.changed("egress");
    }
    for (name, differ) in FIXED {
        if differ(config, &new) {
            done.kept(name);
        }
    }
    change_lans(running, &mut config.lans, &new.lans, is_egress_new, &mut done).await;
    let Config { log, drain_timeout_s, is_local, public_names, origins, hosts, limits, egress, .. } = new;
    config.log = log;
    config.is_local = is_local;
    config.public_names = public_names;
    config.origins = origins;
    config.hosts = hosts;
    config.limits = limits;
    config.drain_timeout_s = drain_timeout_s;
    config.egress = egress;
    done.lines()
}

async fn change_lans(
    running: &mut Running,
    settings: &mut Vec<LanSettings>,
    new: &[LanSettings],
    is_egress_new: bool,
    done: &mut Done,
) {
    let old = mem::take(&mut running.lans).into_iter().zip(mem::take(settings));
    let is_wanted =
        |(_, settings): &(Lan, LanSettings)| new.iter().any(|wanted| wanted.name == settings.name);
    let (old, gone): (Vec<_>, Vec<_>) = old.partition(is_wanted);
    running.entrance.set_lans(old.iter().map(|(lan, _)| lan.handle.clone()).collect());
    // What one LAN lets go another may take, so all let go before any takes.
    for (lan, settings) in gone {
        done.lines.push(format!("LAN {}: removed, and its guests with it", settings.name));
        lan.stop().await;
    }
    let mut staying = HashMap::new();
    for (lan, settings) in old {
        let Some(wanted) = new.iter().find(|wanted| wanted.name == settings.name) else { continue };
        let merged = merge(&settings, wanted, done);
        let told = merged.clone();
        // One that has stopped says so below.
        for tap in lan.handle.ask(move |lan| lan.let_go(&told)).await.unwrap_or_default() {
            tap.gone().await;
        }
        staying.insert(&wanted.name, (lan, settings, merged));
    }
    let (mut lans, mut in_effect) = (Vec::new(), Vec::new());
    for wanted in new {
        let name = &wanted.name;
        let Some((lan, mut settings, merged)) = staying.remove(name) else {
            match start(running, wanted) {
                Ok(lan) => {
                    lans.push(lan);
                    in_effect.push(wanted.clone());
                    done.lines.push(format!("LAN {name}: added"));
                }
                Err(error) => done.lines.push(format!("LAN {name}: not added: {error:#}")),
            }
            continue;
        };
        if is_egress_new || merged != settings {
            let terms = running.egress.lan_terms(&merged);
            match lan.handle.ask(move |lan| lan.reconfigure(merged, terms)).await {
                Ok((now, failed)) => {
                    done.lines.extend(failed);
                    if now != settings {
                        done.changed(&format!("LAN {name}"));
                    }
                    settings = now;
                }
                Err(stopped) => done.lines.push(stopped.to_string()),
            }
        }
        lans.push(lan);
        in_effect.push(settings);
    }
    running.entrance.set_lans(lans.iter().map(|lan| lan.handle.clone()).collect());
    (running.lans, *settings) = (lans, in_effect);
    running.show_lans();
}

fn start(running: &Running, settings: &LanSettings) -> anyhow::Result<Lan> {
    let forwards = bind::forwards(settings)?;
    Lan::start(settings, &running.egress, &running.limits, forwards, bind::taps(settings)?)
}

/// What a LAN goes by: what is wanted, but for what takes a restart.
fn merge(old: &LanSettings, wanted: &LanSettings, done: &mut Done) -> LanSettings {
    let mut merged = wanted.clone();
    for (name, keep) in FIXED_OF_LAN {
        if keep(old, &mut merged) {
            done.kept(&format!("LAN {}: {name}", old.name));
        }
    }
    // Those of another subnet are no addresses of this one's.
    if wanted.subnet != old.subnet && wanted.leases != old.leases {
        merged.leases.clone_from(&old.leases);
        done.kept(&format!("LAN {}: leases", old.name));
    }
    merged
}

/// What came of it.
#[derive(Default)]
struct Done {
    lines: Vec<String>,
}

impl Done {
    fn changed(&mut self, what: &str) {
        self.lines.push(format!("{what}: changed"));
    }

    fn kept(&mut self, what: &str) {
        self.lines.push(format!("{what}: kept as it is until a restart"));
    }

    fn lines(mut self) -> Vec<String> {
        if self.lines.is_empty() {
            self.lines.push("nothing has changed".to_owned());
        }
        self.lines
    }
}
