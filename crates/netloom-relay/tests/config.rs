//! Every wrong value gives its one line, with place and fix, and exit code 2; and `--check` prints what can be read again.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use std::process::Output;

fn run(arguments: &[&str]) -> Output {
    common::netloom().arg("relay").args(arguments).output().expect("it runs")
}

#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = run(&[arguments, &["--check"]].concat());
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    assert!(output.stdout.is_empty());
    said
}

#[test]
fn wrong_flags() {
    for (arguments, parts) in [
        (&["--mtu", "70000"][..], &["--mtu", "576 to 65535"][..]),
        (&["--mtu", "575"], &["--mtu", "576 to 65535"]),
        (&["--mtu", "big"], &["--mtu", "invalid"]),
        (&["--subnet", "192.168.86.0"], &["--subnet", "prefix"]),
        (&["--subnet", "192.168.86.0/30"], &["--subnet", "8 to 29"]),
        (&["--subnet", "10.0.0.0/7"], &["--subnet", "8 to 29"]),
        (&["--subnet", "192.168.86.7/24"], &["--subnet", "write 192.168.86.0/24"]),
        (&["--subnet", "127.0.0.0/8"], &["--subnet", "loopback"]),
        (&["--subnet", "224.0.0.0/8"], &["--subnet", "multicast"]),
        (&["--subnet", "fd00::/64"], &["--subnet", "not IPv4"]),
        (&["--subnet", "lan"], &["--subnet", "192.168.86.0/24"]),
        (&["--ipv6", "on"], &["--ipv6", "not an IPv6 prefix", "off, ula", "fd12:3456:789a::/64"]),
        (&["--ipv6", ""], &["--ipv6", "off, ula"]),
        (&["--ipv6", "192.168.86.0/24"], &["--ipv6", "not IPv6", "off, ula"]),
        (&["--ipv6", "fd00::/48"], &["--ipv6", "prefix of 48", "prefix of 64 bits"]),
        (&["--ipv6", "fd00::"], &["--ipv6", "prefix of 128"]),
        (&["--ipv6", "fd00::/129"], &["--ipv6", "not an IPv6 prefix"]),
        (&["--ipv6", "fd00::1/64"], &["--ipv6", "host bits", "write fd00::/64"]),
        (&["--ipv6", "fe80::/64"], &["--ipv6", "link-local", "write ula"]),
        (&["--ipv6", "fec0::/64"], &["--ipv6", "write ula"]),
        (&["--ipv6", "ff02::/64"], &["--ipv6", "multicast", "write ula"]),
        (&["--ipv6", "::1/64"], &["--ipv6", "loopback", "write ula"]),
        (&["--ipv6", "::/64"], &["--ipv6", "reserved", "write ula"]),
        (&["--ipv6", "::ffff:192.0.2.0/64"], &["--ipv6", "reserved", "write ula"]),
        (&["--ipv6", "64:ff9b::/64"], &["--ipv6", "reserved", "write ula"]),
        (&["--ipv6", "2001::/64"], &["--ipv6", "reserved", "write ula"]),
        (&["--ipv6", "ula", "--mtu", "1279"], &["--ipv6", "1280", "1279", "write off"]),
        (&["--listen", "example.com:80"], &["--listen", "127.0.0.1:8086"]),
        (&["--listen", "127.0.0.1:99999"], &["--listen", "127.0.0.1:8086"]),
        (&["--listen", "127.0.0.1:9", "--listen", "9"], &["--listen", "twice"]),
        (&["--qemu-listen", "example.com:80"], &["--qemu-listen", "unix:/run/netloom.sock"]),
        (&["--qemu-listen", "unix:"], &["--qemu-listen", "path"]),
        (&["--qemu-listen", "lab=9999"], &["--qemu-listen", "no LAN `lab`", "--lan lab"]),
        (&["--preset", "vbox"], &["--preset", "c2w, v86, websockproxy"]),
        (&["--forward", "8080"], &["--forward", "8080=first:80"]),
        (&["--forward", "8080=first"], &["--forward", "8080=first:80"]),
        (&["--forward", "8080=first:0"], &["--forward", "8080=first:80"]),
        (&["--forward", "8080=10.0.0.1:80"], &["--forward", "192.168.86.0/24"]),
        (&["--lan", "a/b"], &["--lan", "letters"]),
        (&["--lan", ""], &["--lan", "letters"]),
        (&["--lan", "a=10.0.0.0"], &["--lan", "prefix"]),
        (&["--lan", "a", "--lan", "a=10.0.0.0/24"], &["--lan", "two LANs named `a`"]),
        (&["--lan", "default"], &["--lan", "--subnet"]),
        (&["--allow", "10.0.0.0/33"], &["--allow", "0 to 32"]),
        (&["--deny", "exam ple.com"], &["--deny", "not a rule", "*.example.com:443"]),
        (&["--allow", "10.0.0.1:0"], &["--allow", "not a rule", "1 to 65535"]),
        (&["--allow", "*:80/ping"], &["--allow", "no ports"]),
        (&["--upstream", "ftp://a:1"], &["--upstream", "socks5://HOST:PORT"]),
        (&["--upstream", "socks5://secret@127.1:1080"], &["--upstream", "no name or address"]),
        (&["--upstream", "socks5://a:b"], &["--upstream", "1 to 65535"]),
        (&["--origin", "example.com"], &["--origin", "https://example.com"]),
        (&["--origin", "https://example.com/path"], &["--origin", "https://example.com"]),
        (&["--public-name", "bad name"], &["--public-name", "relay.example.com"]),
        (&["--dns", "resolver"], &["--dns", "192.0.2.53"]),
        (&["--dns", "0.0.0.0"], &["--dns", "192.0.2.53"]),
        (&["--dns", "fe80::1"], &["--dns", "link-local", "fe80::1%eth0"]),
        (&["--dns", "fe80::1%no-such-interface"], &["--dns", "192.0.2.53"]),
        (&["--record", "web.lan"], &["--record", "NAME=IP"]),
        (&["--record", "web.lan=192.0.2.1,x"], &["--record", "NAME=IP"]),
        (&["--lease", "52:54:00:12:34=192.168.86.9"], &["--lease", "MAC=IP"]),
        (&["--lease", "53:54:00:12:34:56=192.168.86.9"], &["--lease", "even"]),
        (&["--lease", "52:54:00:12:34:56=10.0.0.9"], &["--lease", "192.168.86.0/24"]),
        (&["--lease", "52:54:00:12:34:56=192.168.86.1"], &["--lease", "gateway"]),
        (&["--log", "=loud="], &["--log", "debug"]),
        (&["--root", "cors"], &["--root", "add --cors"]),
        (&["--cors-max-age", "5"], &["--cors"]),
        (&["--connect-to", "a:1:b:2"], &["--cors"]),
        (&["--cors", "--connect-to", "a:1:b"], &["--connect-to", "example.com:443:192.0.2.7:8443"]),
        (&["--cors", "--cors-whitelist", "example.com"], &["--cors-whitelist", "https://example.com"]),
        (&["--cors", "--cors-whitelist", "*"], &["--cors-whitelist", "leave the whitelist empty"]),
        (&["--cors", "--cors-require-header", "a b"], &["--cors-require-header", "x-requested-with"]),
        (&["--cors", "--cors-set-header", "a"], &["--cors-set-header", "NAME:VALUE"]),
        (&["--cors", "--cors-set-header", "host: a"], &["--cors-set-header", "--connect-to"]),
        (&["--cors", "--cors-set-header", "a: \u{1}"], &["--cors-set-header", "characters"]),
        (&["--cors", "--cors-rate-limit", "many"], &["--cors-rate-limit", "50 3 example.com"]),
        (&["--cors", "--cors-rate-limit", "1 1 /(/"], &["--cors-rate-limit", "regular expression"]),
        (&["--cors", "--cors-max-redirects", "51"], &["--cors-max-redirects", "0 to 50"]),
        (&["--cors", "--cors-help", "/nonexistent"], &["--cors-help", "cannot be read"]),
        (&["--cors", "--cacert", "/nonexistent"], &["--cacert", "cannot be read"]),
        (&["--cors", "--cacert", "/etc/hostname"], &["--cacert", "-----BEGIN CERTIFICATE-----"]),
        (
            &["--config", "/nonexistent/netloom.toml"],
            &["/nonexistent/netloom.toml", "cannot be read", "--config"],
        ),
        (&["--root", "nowhere"], &["--root", "lan, wisp or cors"]),
        (&["--wisp-user", "alice"], &["--wisp-user", "NAME=PASSWORD"]),
        (&["--wisp-user", "a=1", "--wisp-user", "a=2"], &["--wisp-user", "two users named `a`"]),
        (&["--wisp-key", "AAAA"], &["--wisp-key", "32 bytes in base64"]),
        (&["--mtuu", "1500"], &["--mtuu", "--help"]),
        (&["surplus"], &["surplus", "--help"]),
    ] {
        let said = refused(arguments);
        for part in parts {
            assert!(said.contains(part), "{arguments:?} does not say `{part}`: {said}");
        }
    }
}

#[test]
fn wrong_files() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("text");
    for (text, line, parts) in [
        ("[[lan]]\nname = \"default\"\nmtu = 70000\n", 3, &["mtu", "576 to 65535"][..]),
        ("[[lan]]\nname = \"default\"\nmtu = \"big\"\n", 3, &["mtu", "write mtu = 1500"]),
        ("[[lan]]\nname = \"default\"\nmtuu = 1500\n", 3, &["mtuu", "unknown field", "mtu"]),
        ("[[lan]]\nname = \"default\"\ndhcp = \"yes\"\n", 3, &["dhcp", "write dhcp = true"]),
        ("[[lan]]\nname = \"default\"\nipv6 = true\n", 3, &["ipv6", "write ipv6 = \"ula\""]),
        ("[[lan]]\nname = \"default\"\nmtu = 600\nipv6 = \"ula\"\n", 4, &["ipv6", "1280"]),
        ("[[lan]]\nmtu = 1500\n", 1, &["lan", "name"]),
        ("[[lan]]\nname = \"a\"\n[[lan]]\nname = \"a\"\n", 4, &["name", "two LANs"]),
        ("[[lan]]\nname = \"a\"\nsubnet = \"10.0.0.0/31\"\n", 3, &["subnet", "8 to 29"]),
        ("\n[listen]\naddresses = [\n  \"127.0.0.1:1\",\n  \"nowhere\",\n]\n", 5, &["addresses", "nowhere"]),
        ("[listen]\naddresses = \"127.0.0.1:1\"\n", 2, &["addresses", "write addresses = ["]),
        ("[listen]\norigins = [\"example.com\"]\n", 2, &["origins", "https://example.com"]),
        ("[listen]\nmax_connections = 0\n", 2, &["max_connections", "1 to 1000000"]),
        ("[cors]\nmax_age_s = -1\n", 2, &["max_age_s", "0 to 31536000"]),
        ("[cors]\n\nconnect_to = \"a\"\n", 3, &["connect_to", "write connect_to = ["]),
        ("[cors]\nrate_limit = \"1 0\"\n", 2, &["rate_limit", "1 to 525600"]),
        ("[cors]\nwhitelists = []\n", 2, &["whitelists", "unknown field"]),
        ("[egress]\nallow = [\n\"10.0.0.0/8\",\n\"a b\"]\n", 4, &["allow", "not a rule"]),
        ("[egress]\nupstream = \"nowhere\"\n", 2, &["upstream", "socks5://HOST:PORT"]),
        ("[egress]\nallow_only = \"yes\"\n", 2, &["allow_only", "write allow_only = true"]),
        ("[log]\nfilter = \"=loud=\"\n", 2, &["filter", "debug"]),
        (
            "[[lan]]\nname = \"a\"\n[lan.leases]\n\"52:54:00:12:34:56\" = \"10.0.0.1\"\n",
            4,
            &["leases", "192.168.86.0/24"],
        ),
        ("[[lan]]\nname = \"a\"\n[lan.records]\n\"web.lan\" = \"x\"\n", 4, &["records", "NAME=IP"]),
        ("[wisp]\nmax_streams = 0\n", 2, &["max_streams", "1 to 1000000"]),
        ("[wisp]\nmax_message_bytes = 1\n", 2, &["max_message_bytes", "4096 to 67108864"]),
        ("[wisp]\nusers = \"a\"\n", 2, &["users", "write users = {"]),
        ("[wisp.users]\n\"a\" = \"\"\n", 2, &["users", "NAME=PASSWORD"]),
        ("[listen]\nroot = true\n", 2, &["root", "write root = \"lan\""]),
        ("[[lan]\n", 1, &[]),
        ("x\n", 1, &[]),
    ] {
        std::fs::write(file.path(), text).expect("written");
        let said = refused(&["--config", path]);
        assert!(said.contains(&format!("{path}:{line}")), "{text}does not name line {line}: {said}");
        for part in parts {
            assert!(said.contains(part), "{text}does not say `{part}`: {said}");
        }
    }
}

#[test]
fn check_prints_what_gives_the_same() {
    let flags = [
        "--mtu=1400",
        "--ipv6=ula",
        "--record=web.lan=192.168.86.10,fd00::10",
        "--lan=lab=10.1.0.0/16",
        "--origin=https://a.example",
        "--allow=10.2.0.0/16",
        "--no-dns",
        "--cors",
        "--cors-whitelist=https://a.example",
        "--cors-set-header=x-a: b",
        "--cors-rate-limit=50  3 a.example",
        "--cors-max-redirects=3",
        "--connect-to=a.example:443:[2001:db8::1]:8443",
        "--root=wisp",
        "--wisp-user=alice=open sesame",
        "--wisp-key=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    ];
    let first = run(&[&["--check"][..], &flags].concat());
    assert!(first.status.success());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &first.stdout).expect("written");
    let second = run(&["--check", "--config", file.path().to_str().expect("text")]);
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(String::from_utf8_lossy(&first.stdout), String::from_utf8_lossy(&second.stdout));
}

#[test]
fn a_port_in_use_is_one_line_with_the_fix() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = taken.local_addr().expect("its address").to_string();
    let output = run(&["--listen", &address]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}
