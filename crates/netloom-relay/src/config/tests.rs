//! Precedence and the way back from `--check`. The table of mistakes is in the crate's `tests/config.rs`.

use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

fn load(flags: &[&str]) -> Result<Config, ConfigError> {
    let cli = Cli::try_parse_from([&["netloom", "relay"], flags].concat()).expect("flags parse");
    let Command::Relay(args) = cli.command else { panic!("a relay") };
    Config::load(&args)
}

fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("it can be written");
    let path = file.path().display().to_string();
    (file, path)
}

#[test]
fn nothing_given_is_one_loopback_lan() {
    let config = load(&[]).expect("the defaults are right");
    assert_eq!(config.listen, ["127.0.0.1:8086".parse().expect("an address")]);
    let [lan] = config.lans.as_slice() else { panic!("one LAN") };
    assert_eq!(lan.subnet.to_string(), "192.168.86.0/24");
    assert_eq!(lan.gateway_address().to_string(), "192.168.86.1");
    assert_eq!(lan.host_address().to_string(), "192.168.86.254");
    assert_eq!(lan.pool, (Ipv4Addr::new(192, 168, 86, 100), Ipv4Addr::new(192, 168, 86, 253)));
    assert!(lan.private && lan.gateway && lan.dhcp && lan.dns && !lan.host_loopback && !lan.isolate);
}

#[test]
fn a_public_listener_closes_private_networks() {
    assert!(!load(&["--listen", ":0"]).expect("right").lans[0].private);
    assert!(!load(&["--listen", "127.0.0.1:0", "--listen", "192.0.2.1:0"]).expect("right").lans[0].private);
    assert!(!load(&["--qemu-listen", ":0"]).expect("right").lans[0].private);
    assert!(load(&["--qemu-listen", "0", "--qemu-listen", "unix:/x"]).expect("right").lans[0].private);
    assert!(load(&["--listen", "[::1]:0"]).expect("right").lans[0].private);
    // Others come by a proxy on this host, and by a name that leads here.
    for behind in [["--public-name", "relay.example"], ["--trusted-proxy", "127.0.0.1"]] {
        let config = load(&behind).expect("right");
        assert!(!config.is_local && !config.lans[0].private && !config.hosts.localhost, "{behind:?}");
        assert_eq!(
            config.limits.broadcast_frames_per_s,
            load(&["--listen", ":0"]).expect("right").limits.broadcast_frames_per_s
        );
    }
}

#[test]
fn flags_win_for_the_default_lan_and_are_defaults_for_the_others() {
    let (_guard, path) = file(
        "[[lan]]\nname = \"default\"\nmtu = 1400\nsubnet = \"10.1.0.0/16\"\n[[lan]]\nname = \"lab\"\nmtu = 9000\n",
    );
    let config =
        load(&["--config", &path, "--mtu", "1300", "--isolate", "--lan", "b=10.9.0.0/24"]).expect("right");
    let lans: Vec<_> =
        config.lans.iter().map(|l| (l.name.as_str(), l.mtu, l.subnet.to_string(), l.isolate)).collect();
    assert_eq!(
        lans,
        [
            ("default", 1300, "10.1.0.0/16".to_owned(), true),
            ("lab", 9000, "192.168.86.0/24".to_owned(), true),
            ("b", 1300, "10.9.0.0/24".to_owned(), true),
        ]
    );
}

#[test]
fn ipv6_is_off_unless_it_is_asked_for() {
    let prefix = |flags: &[&str]| load(flags).expect("right").lans[0].ipv6.map(|prefix| prefix.to_string());
    assert_eq!(prefix(&[]), None);
    assert_eq!(prefix(&["--ipv6=off"]), None);
    assert_eq!(prefix(&["--ipv6=2001:db8:1:2::/64"]).as_deref(), Some("2001:db8:1:2::/64"));
    let told = load(&["--ipv6=2001:db8:1:2::/64"]).expect("right").lans[0].ipv6().expect("on");
    assert_eq!(told.gateway_address.to_string(), "2001:db8:1:2::1");
    let hosts = |flags: &[&str]| {
        let lan = load(flags).expect("right").lans.remove(0);
        lan.host_addresses().map(|address| address.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(hosts(&["--ipv6=2001:db8:1:2::/64"]), ["192.168.86.254", "2001:db8:1:2::254"]);
    assert_eq!(hosts(&[]), ["192.168.86.254"]);
}

#[test]
fn a_lans_unique_local_prefix_is_its_names() {
    let (_guard, path) = file("[[lan]]\nname = \"b\"\nipv6 = \"off\"\n[[lan]]\nname = \"c\"\n");
    let prefixes = || {
        let lans = load(&["--config", &path, "--ipv6=ula", "--lan=lab=10.0.0.0/24"]).expect("right").lans;
        lans.iter().map(|lan| (lan.name.clone(), lan.ipv6.map(|p| p.to_string()))).collect::<Vec<_>>()
    };
    // By `printf NAME | sha1sum`, whose last ten digits they carry: guests keep their addresses over a restart and an update.
    let expected = [
        ("default", Some("fdc4:3500:b635::/64")),
        ("b", None),
        ("c", Some("fd30:ea46:dbb4::/64")),
        ("lab", Some("fd5b:4411:69bf::/64")),
    ];
    assert_eq!(prefixes(), expected.map(|(name, prefix)| (name.to_owned(), prefix.map(str::to_owned))));
}

#[test]
fn leases_of_flags_are_the_default_lans() {
    let lease = "02:00:00:00:00:01=192.168.86.9";
    let lans = load(&["--lease", lease, "--lan", "lab=10.0.0.0/24"]).expect("right").lans;
    assert_eq!((lans[0].leases.len(), lans[1].leases.len()), (1, 0));
}

#[test]
fn what_check_prints_gives_the_same_configuration() {
    let config = load(&[
        "--listen=0",
        "--listen=[::1]:9",
        "--origin=HTTPS://Example.com:443/",
        "--origin=*",
        "--public-name=Relay.example",
        "--lan=lab=10.0.0.0/8",
        "--qemu-listen=unix:/run/a=b.sock",
        "--preset=c2w",
        "--forward=8080=first:80",
        "--forward=[::1]:8081=192.168.127.3:81",
        "--forward=:8082=02:00:00:00:00:01:82",
        "--forward=127.0.0.1:8083=Web.lan:83",
        "--forward=8084=[2001:db8:1:2::7]:84",
        "--qemu-listen=lab=[::1]:0",
        "--allow=10.0.0.0/8",
        "--deny=2001:db8::/32",
        "--deny=*.evil.example:1-1023/tcp",
        "--allow-only",
        "--upstream=socks5://us%3Aer:pass%40word@[2001:db8::1]:1080",
        "--dns=192.0.2.53:5353",
        "--no-dhcp",
        "--dns=[fe80::1%1]:53",
        "--record=a.lan=192.0.2.7",
        "--record=b.lan=192.0.2.8,2001:db8::8",
        "--ipv6=2001:db8:1:2::/64",
        "--mtu=65535",
        "--log=debug",
        "--host-loopback",
    ])
    .expect("right");
    let (_guard, path) = file(&config.to_toml());
    assert_eq!(load(&["--config", &path]).expect("the printed configuration is right"), config);
}

#[test]
fn pools_fit_small_and_large_subnets() {
    for (subnet, first, last) in [
        ("10.0.0.0/29", "10.0.0.2", "10.0.0.5"),
        ("10.0.0.0/25", "10.0.0.32", "10.0.0.125"),
        ("10.0.0.0/16", "10.0.0.100", "10.0.255.253"),
        ("10.0.0.0/8", "10.0.0.100", "10.1.0.99"),
    ] {
        let lan = load(&["--subnet", subnet]).expect("right").lans.remove(0);
        let (a, b) = lan.pool;
        assert_eq!((a.to_string().as_str(), b.to_string().as_str()), (first, last), "{subnet}");
    }
}
