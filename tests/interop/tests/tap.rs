//! Linux on a TAP of the relay: as a guest with the relay's services and NAT, and as the way out with its own.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use std::{fs, thread};

use netloom_interop::dhcp::DhcpClient;
use netloom_interop::echo::UdpEcho;
use netloom_interop::lab::{
    GATEWAY, INTERFACE, Lab, SERVER, SERVER_V6, advertised_address, sized, take_lease,
};
use netloom_interop::namespace::Namespace;
use netloom_interop::relay::{Relay, program};
use netloom_interop::splice::Splice;
use netloom_interop::tap::Tap;
use netloom_interop::transfer::{Kind, Pattern, Server, transfer};
use netloom_interop::uplink::{HOST, HOST_NET, KNOWN, dnsmasq, masquerade};
use netloom_interop::websocket::{Handshake, WebSocket};
use rustix::process::{Pid, Signal, kill_process};

const MIB: u64 = 1 << 20;
const SUBNET: [&str; 2] = ["--subnet", "10.5.0.0/16"];
/// The address of a kernel on a TAP, for which no lease is needed.
const BEHIND_TAP: Ipv4Addr = Ipv4Addr::new(192, 168, 86, 50);
const ALL: [Kind; 3] = [Kind::Download, Kind::Upload, Kind::HalfClose];

/// The flag's value that puts a guest's interface into a namespace.
fn inside(namespace: &Namespace) -> String {
    format!("{INTERFACE},netns={}", namespace.name())
}

fn everything_is_whole(lab: &Lab, guest: &Namespace, server: IpAddr, bytes: u64) {
    let transfers = Server::start(&lab.server, SocketAddr::new(server, 0)).unwrap();
    for (seed, kind) in ALL.into_iter().enumerate() {
        transfer(guest, transfers.address(), kind, bytes, seed as u64).unwrap();
    }
    datagrams_are_whole(guest, &UdpEcho::start(&lab.server, SocketAddr::new(server, 0)).unwrap());
}

/// Of one packet, of several fragments, and of none.
fn datagrams_are_whole(guest: &Namespace, echo: &UdpEcho) {
    let any: SocketAddr = if echo.address().is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
    let socket = guest.bind_udp(any).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.connect(echo.address()).unwrap();
    for length in [0, 1, 1000, 1472, 9000] {
        let mut sent = vec![0; length];
        Pattern::new(length as u64).fill(&mut sent);
        socket.send(&sent).unwrap();
        let mut came = vec![0; 65_536];
        let came_bytes = socket.recv(&mut came).unwrap();
        assert!(came[..came_bytes] == sent, "{length} bytes were sent, {came_bytes} came back");
    }
}

fn interfaces(namespace: &Namespace) -> String {
    let shown = [
        namespace.ip(&["-o", "address", "show"]),
        namespace.ip(&["route", "show", "table", "all"]),
        namespace.ip(&["-6", "route", "show", "table", "all"]),
        namespace.ip(&["rule", "show"]),
        namespace.exec("nft", &["list", "ruleset"]),
    ];
    shown.map(Result::unwrap).join("\n")
}

fn serves_a_guest(mtu: u16) {
    let guest = Namespace::new().unwrap();
    let lab = Lab::new(&["--tap", &inside(&guest), "--mtu", &mtu.to_string(), "--ipv6", "ula"]).unwrap();
    let lease = take_lease(&guest, DhcpClient::Udhcpc).unwrap();
    assert_eq!((lease.router, lease.dns, lease.mtu), (Some(GATEWAY), Some(GATEWAY), Some(mtu)));
    everything_is_whole(&lab, &guest, SERVER.into(), sized(32, 1024) * MIB);
    advertised_address(&guest).unwrap();
    everything_is_whole(&lab, &guest, SERVER_V6.into(), sized(16, 512) * MIB);
    let answer = guest.exec("dig", &["+short", "@192.168.86.1", "tap.test"]).unwrap();
    assert_eq!(answer.trim(), SERVER.to_string());
    guest.exec("ping", &["-n", "-c", "1", "-W", "2", &SERVER.to_string()]).unwrap();
}

#[test]
fn a_guest_is_served_at_mtu_1500() {
    serves_a_guest(1500);
}

#[test]
fn a_guest_is_served_at_the_largest_mtu_of_a_tap() {
    serves_a_guest(65_520);
}

/// Guests over WebSocket and over a TAP, the kernel's NAT and dnsmasq behind another TAP.
fn the_kernel_serves(uplink: &str, interface: &str) {
    let guest = Namespace::new().unwrap();
    let own_services = ["--no-dhcp", "--no-dns", "--no-gateway"];
    let taps = ["--tap", uplink, "--tap", &inside(&guest)];
    let host = Namespace::new().unwrap();
    host.ip(&["link", "add", "br0", "type", "bridge"]).unwrap();
    host.ip(&["link", "set", "br0", "up"]).unwrap();
    host.add_address("br0", HOST, 16).unwrap();
    let lab = Lab::in_host(host, &[&SUBNET[..], &own_services, &taps].concat()).unwrap();
    masquerade(&lab.host, "up0").unwrap();
    let _dnsmasq = dnsmasq(&lab.host, interface).unwrap();
    let far = lab.guest("/", None).unwrap();
    for namespace in [&guest, &far.namespace] {
        let lease = take_lease(namespace, DhcpClient::Udhcpc).unwrap();
        assert_eq!((lease.router, lease.dns), (Some(HOST), Some(HOST)));
        let answer = namespace.exec("dig", &["+short", &format!("@{HOST}"), KNOWN.0]).unwrap();
        assert_eq!(answer.trim(), KNOWN.1);
        everything_is_whole(&lab, namespace, SERVER.into(), sized(8, 256) * MIB);
    }
}

#[test]
fn the_kernel_serves_by_a_bridge() {
    the_kernel_serves("tap0,bridge=br0", "br0");
}

#[test]
fn the_kernel_serves_by_the_interface_itself() {
    let guest = Namespace::new().unwrap();
    let uplink = format!("tap0,address={HOST_NET}");
    let arguments =
        [&SUBNET[..], &["--no-dhcp", "--no-dns", "--no-gateway", "--tap", &uplink, "--tap", &inside(&guest)]];
    let lab = Lab::new(&arguments.concat()).unwrap();
    masquerade(&lab.host, "up0").unwrap();
    let _dnsmasq = dnsmasq(&lab.host, "tap0").unwrap();
    take_lease(&guest, DhcpClient::Udhcpc).unwrap();
    everything_is_whole(&lab, &guest, SERVER.into(), sized(8, 256) * MIB);
}

#[test]
fn a_killed_relay_leaves_nothing_behind() {
    let guest = Namespace::new().unwrap();
    let host = Namespace::new().unwrap();
    host.ip(&["link", "add", "br0", "type", "bridge"]).unwrap();
    host.ip(&["link", "set", "br0", "up"]).unwrap();
    let (of_guest, of_host) = (interfaces(&guest), interfaces(&host));
    let arguments =
        ["--tap", &inside(&guest), "--tap", "tap0,bridge=br0", "--tap", "tap1,address=10.9.0.1/24"];
    let mut lab = Lab::in_host(host, &arguments).unwrap();
    let before = interfaces(&lab.host);
    assert!(before.contains("tap0") && before.contains("10.9.0.1/24"), "{before}");
    assert_ne!(interfaces(&guest), of_guest);
    lab.relay.stop(Signal::KILL).unwrap();
    assert_eq!(interfaces(&guest), of_guest);
    let after = interfaces(&lab.host);
    assert!(!after.contains("tap"), "{after}");
    // What may differ is the cable to the server, and that a bridge is down which has lost its last port.
    let lasting = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("up0")).map(|line| line.replace(" linkdown", "")).collect()
    };
    assert_eq!(lasting(&after), lasting(&of_host));
}

#[test]
fn an_interface_that_was_there_is_used_and_left_as_it_is() {
    let host = Namespace::new().unwrap();
    host.ip(&["tuntap", "add", "tap0", "mode", "tap"]).unwrap();
    host.ip(&["link", "set", "tap0", "up"]).unwrap();
    host.ip(&["address", "add", HOST_NET, "dev", "tap0"]).unwrap();
    let mut lab = Lab::in_host(host, &[&SUBNET[..], &["--tap", "tap0", "--no-gateway"]].concat()).unwrap();
    let (guest, address) = (lab.guest("/", None).unwrap(), Ipv4Addr::new(10, 5, 1, 1));
    guest.use_address(address, 16).unwrap();
    assert!(guest.pings(HOST, 2));
    lab.relay.stop(Signal::TERM).unwrap();
    let shown = lab.host.ip(&["-o", "address", "show", "dev", "tap0"]).unwrap();
    assert!(shown.contains(HOST_NET), "{shown}");
}

/// Joins a kernel to a relay by the raw protocol, on an interface that was made before and stays.
fn connect(lab: &Lab, guest: &Namespace) -> Splice {
    let socket = WebSocket::connect(&lab.host, lab.relay.address(), &Handshake::to("/")).unwrap();
    Splice::start(Tap::open(guest, INTERFACE).unwrap(), socket, None).unwrap()
}

/// Bytes that came to a namespace's interface.
fn received(namespace: &Namespace) -> u64 {
    let shown = namespace.ip(&["-j", "-s", "link", "show", INTERFACE]).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    shown.pointer("/0/stats64/rx/bytes").and_then(serde_json::Value::as_u64).unwrap()
}

/// Transfers between a kernel on a TAP, as `tap` says, and one on the raw protocol, with the relay killed and started again in the middle.
fn transfers_outlive_the_relay(kernel: &Namespace, tap: &str) {
    let guest = Namespace::new().unwrap();
    guest.ip(&["tuntap", "add", INTERFACE, "mode", "tap"]).unwrap();
    guest.add_address(INTERFACE, Ipv4Addr::new(192, 168, 86, 60), 24).unwrap();
    let mut lab = Lab::new(&["--tap", tap]).unwrap();
    let server = Server::start(kernel, SocketAddr::from((BEHIND_TAP, 0))).unwrap();
    let bytes = sized(64, 512) * MIB;
    for kind in [Kind::Download, Kind::Upload] {
        let cable = connect(&lab, &guest);
        let to = if kind == Kind::Download { &guest } else { kernel };
        let goal = received(to) + bytes / 4;
        thread::scope(|scope| {
            let moved = scope.spawn(|| transfer(&guest, server.address(), kind, bytes, 1));
            while received(to) < goal && !moved.is_finished() {}
            lab.relay.stop(Signal::KILL).unwrap();
            assert!(!moved.is_finished(), "it was too quick to be interrupted");
            drop(cable);
            lab.relay = Relay::start(&lab.host, &["--tap", tap]).unwrap();
            let _cable = connect(&lab, &guest);
            moved.join().unwrap().unwrap();
        });
    }
    assert_eq!(server.served(), 2);
}

#[test]
fn connections_outlive_a_killed_relay_on_an_interface_that_stays() {
    let kernel = Namespace::new().unwrap();
    kernel.ip(&["tuntap", "add", INTERFACE, "mode", "tap"]).unwrap();
    kernel.ip(&["link", "set", INTERFACE, "up"]).unwrap();
    kernel.add_address(INTERFACE, BEHIND_TAP, 24).unwrap();
    transfers_outlive_the_relay(&kernel, &inside(&kernel));
}

#[test]
fn connections_outlive_a_killed_relay_whose_interface_is_made_anew() {
    let kernel = Namespace::new().unwrap();
    let tap = format!("{},address={BEHIND_TAP}/24", inside(&kernel));
    transfers_outlive_the_relay(&kernel, &tap);
}

/// Runs a relay that cannot start, in a namespace with a bridge and a persistent TAP of MTU 1500; gives the one line that it says.
fn refused(arguments: &[&str]) -> String {
    let host = Namespace::new().unwrap();
    host.ip(&["tuntap", "add", "there", "mode", "tap"]).unwrap();
    let mut command = host.command(program().unwrap());
    let output =
        command.args(["relay", "--listen", "127.0.0.1:0", "--no-wisp"]).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn what_is_wrong_with_a_tap_is_told_with_the_fix() {
    for (arguments, says) in [
        (&["--tap", "tap0,bridge=br7"][..], "ip link add br7 type bridge"),
        (&["--tap", "there", "--mtu", "9000"], "write --mtu 1500"),
        (&["--tap", "there,address=10.0.0.1/24"], "was there before"),
        (&["--tap", "lo"], "another kind"),
        (&["--tap", "tap0,netns=nowhere"], "no network namespace nowhere"),
        (&["--tap", "tap0", "--mtu", "65535"], "write --mtu 65520"),
        (&["--tap", "office=tap0"], "add --lan office"),
        (&["--tap", "tap0", "--tap", "tap0"], "given twice"),
        (&["--tap", "a-name-that-is-too-long"], "1 to 15 bytes"),
        (&["--tap", "tap0,bridge=br0,address=10.0.0.1/24"], "give it to the bridge"),
        (&["--tap", "tap0,speed=9"], "bridge=, netns=, address= or mac="),
    ] {
        let said = refused(arguments);
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn a_tap_that_another_program_has_is_told() {
    let lab = Lab::new(&["--tap", "tap0"]).unwrap();
    let mut command = lab.host.command(program().unwrap());
    let output = command.args(["relay", "--listen", "127.0.0.1:0", "--tap", "tap0"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another program has TAP tap0"), "{said}");
}

#[test]
fn without_the_right_the_fix_is_told_and_a_tap_of_ones_own_works() {
    let host = Namespace::new().unwrap();
    host.ip(&["tuntap", "add", "mine", "mode", "tap", "user", "root"]).unwrap();
    host.ip(&["link", "set", "mine", "up"]).unwrap();
    let powerless = |tap: &str| {
        let mut command = host.command("setpriv");
        command.args(["--inh-caps=-all", "--bounding-set=-all"]);
        command.arg(program().unwrap()).args(["relay", "--listen", "127.0.0.1:0", "--tap", tap]);
        command
    };
    let output = powerless("tap0").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("ip tuntap add tap0 mode tap user"), "{said}");
    let mut relay = netloom_interop::process::Process::start(&mut powerless("mine")).unwrap();
    let joined = |line: &str| line.contains("TAP mine joined LAN default").then_some(());
    relay.wait_for_line(Duration::from_secs(10), joined).unwrap();
}

#[test]
fn a_reload_adds_and_removes_taps() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("netloom.toml");
    let write = |taps: &str| {
        fs::write(&file, format!("[[lan]]\nname = \"default\"\ntaps = [{taps}]\n")).unwrap();
    };
    write("\"tap0\", \"tap1\"");
    let mut lab = Lab::new(&["--config", file.to_str().unwrap()]).unwrap();
    write("\"tap1,address=10.9.0.1/24\", \"tap2\"");
    let pid = Pid::from_raw(i32::try_from(lab.relay.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    // They come from two threads.
    let mut awaited = vec![
        "TAP tap2 joined LAN default",
        "TAP tap0 left LAN default",
        "TAP tap1,address=10.9.0.1/24: an interface stays as it was made",
    ];
    while !awaited.is_empty() {
        let find = |line: &str| awaited.iter().position(|words| line.contains(words));
        let came = lab.relay.wait_for_line(Duration::from_secs(10), find).unwrap();
        awaited.remove(came);
    }
    let shown = lab.host.ip(&["-o", "address", "show"]).unwrap();
    assert!(!shown.contains("10.9.0.1"), "{shown}");
    lab.host.ip(&["link", "show", "tap1"]).unwrap();
}

#[test]
fn a_reload_moves_a_tap_from_lan_to_lan() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("netloom.toml");
    let lan = |name: &str, n: u8, taps: &str| {
        format!("[[lan]]\nname = \"{name}\"\nsubnet = \"10.{n}.0.0/24\"\ntaps = [{taps}]\n")
    };
    fs::write(&file, lan("first", 1, "") + &lan("second", 2, "\"tap0\"")).unwrap();
    let mut lab = Lab::new(&["--config", file.to_str().unwrap()]).unwrap();
    let pid = Pid::from_raw(i32::try_from(lab.relay.pid()).unwrap()).unwrap();
    for (text, words) in [
        (lan("first", 1, "\"tap0\"") + &lan("second", 2, ""), "TAP tap0 joined LAN first"),
        (lan("third", 1, "\"tap0\"") + &lan("second", 2, ""), "TAP tap0 joined LAN third"),
    ] {
        fs::write(&file, text).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
        let joined = |line: &str| line.contains(words).then_some(());
        lab.relay.wait_for_line(Duration::from_secs(10), joined).unwrap();
        lab.host.ip(&["link", "show", "tap0"]).unwrap();
    }
}
