//! A guest whose stack is smoltcp: the independent peer. ARP, neighbour discovery, DHCP client, SLAAC, UDP, ping and TCP, with the same
//! programs on top.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::VecDeque;

use netloom_core::{Duration, Instant, MacAddr};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{dhcpv4, icmp, tcp, udp};
use smoltcp::time::Instant as SmolInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint};

use super::Host;
use crate::app::{App, Outcome, Plan, Role};

/// What distinguishes one smoltcp guest from another.
#[derive(Clone, Copy, Debug)]
pub struct SmoltcpHostConfig {
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its address and prefix, or `None` to ask DHCP.
    pub address: Option<(IpAddr, u8)>,
    /// Its default router, if its address is not from DHCP.
    pub router: Option<IpAddr>,
    /// Whether it solicits routers, and forms an IPv6 address beside the other one.
    pub slaac: bool,
    /// Largest IP packet.
    pub mtu: u16,
    /// Receive and send buffer of each connection: its largest windows.
    pub buffer_bytes: usize,
    /// Whether checksums are computed and verified.
    pub checksums: bool,
    /// For its initial sequence numbers and ports.
    pub seed: u64,
}

struct Connection {
    handle: SocketHandle,
    /// The plan of a listener that nobody has connected to, then the program.
    app: App,
    listens: Option<u16>,
}

/// A guest whose stack is smoltcp.
pub struct SmoltcpHost {
    device: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: Vec<Connection>,
    finished: Vec<(Role, Outcome)>,
    dhcp: Option<SocketHandle>,
    leased: Option<Instant>,
    next_port: u16,
    config: SmoltcpHostConfig,
    /// Whether its programs may have work: a frame came, a socket changed, or a program waits for a time.
    busy: bool,
}

impl SmoltcpHost {
    /// A host without connections.
    #[must_use]
    pub fn new(config: SmoltcpHostConfig) -> Self {
        let mut device = Wire {
            received: VecDeque::new(),
            to_send: VecDeque::new(),
            mtu: usize::from(config.mtu),
            checksums: config.checksums,
        };
        let mut settings = Config::new(HardwareAddress::Ethernet(EthernetAddress(config.mac.0)));
        settings.random_seed = config.seed;
        settings.slaac = config.slaac;
        let mut interface = Interface::new(settings, &mut device, SmolInstant::ZERO);
        let mut sockets = SocketSet::new(Vec::new());
        let mut dhcp = None;
        match config.address {
            Some((address, prefix)) => set_address(&mut interface, Some((address, prefix)), config.router),
            None => dhcp = Some(sockets.add(dhcpv4::Socket::new())),
        }
        if config.slaac || config.address.is_some_and(|(address, _)| address.is_ipv6()) {
            let link_local = IpCidr::new(config.mac.link_local().into(), 64);
            interface.update_ip_addrs(|addresses| addresses.push(link_local).expect("room for an address"));
        }
        Self {
            device,
            interface,
            sockets,
            connections: Vec::new(),
            finished: Vec::new(),
            dhcp,
            leased: None,
            next_port: 49152 + (config.seed % 8192) as u16,
            config,
            busy: true,
        }
    }

    /// Opens a connection and runs the client's side of the plan on it.
    ///
    /// # Panics
    /// If the host has no address yet.
    pub fn connect(&mut self, to: impl Into<SocketAddr>, plan: Plan) {
        let to = to.into();
        let mut socket = self.socket();
        self.next_port = if self.next_port == u16::MAX { 49152 } else { self.next_port + 1 };
        socket
            .connect(self.interface.context(), IpEndpoint::from(to), self.next_port)
            .expect("the host has an address");
        let handle = self.sockets.add(socket);
        self.connections.push(Connection { handle, app: App::new(plan, Role::Client), listens: None });
        self.busy = true;
    }

    /// Listens on a port for `count` connections, each of which runs the server's side of the plan.
    ///
    /// # Panics
    /// If the port is 0.
    pub fn listen(&mut self, port: u16, plan: Plan, count: usize) {
        for _ in 0..count {
            let mut socket = self.socket();
            socket.listen(port).expect("a port above 0");
            let handle = self.sockets.add(socket);
            self.connections.push(Connection {
                handle,
                app: App::new(plan, Role::Server),
                listens: Some(port),
            });
        }
    }

    /// How many programs run, listeners that nobody has connected to left out.
    #[must_use]
    pub fn running(&self) -> usize {
        self.connections.iter().filter(|connection| connection.listens.is_none()).count()
    }

    /// The TCP states of the programs that run, for messages.
    #[must_use]
    pub fn states(&self) -> Vec<(tcp::State, (u64, u64))> {
        let state = |c: &Connection| self.sockets.get::<tcp::Socket<'_>>(c.handle).state();
        self.connections.iter().map(|c| (state(c), c.app.progress())).collect()
    }

    /// Its IPv4 address.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.interface.ipv4_addr()
    }

    /// Its IPv6 addresses beyond the link-local one.
    pub fn global_addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.interface.ip_addrs().iter().filter_map(|cidr| match cidr.address() {
            IpAddress::Ipv6(v6) if !v6.is_unicast_link_local() => Some(v6),
            _ => None,
        })
    }

    /// When it got its lease.
    #[must_use]
    pub const fn leased(&self) -> Option<Instant> {
        self.leased
    }

    /// Opens a UDP socket on a port.
    ///
    /// # Panics
    /// If the port is 0.
    pub fn open_udp(&mut self, port: u16) -> SocketHandle {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 256 * 1024]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(port).expect("a port above 0");
        self.sockets.add(socket)
    }

    /// Sends a datagram.
    ///
    /// # Panics
    /// If the socket's buffer is full.
    pub fn send_udp(&mut self, handle: SocketHandle, to: impl Into<SocketAddr>, data: &[u8]) {
        let to = IpEndpoint::from(to.into());
        self.sockets.get_mut::<udp::Socket<'_>>(handle).send_slice(data, to).expect("room for a datagram");
    }

    /// Takes the next datagram that arrived: source and data.
    pub fn receive_udp(&mut self, handle: SocketHandle) -> Option<(SocketAddr, Vec<u8>)> {
        let (data, from) = self.sockets.get_mut::<udp::Socket<'_>>(handle).recv().ok()?;
        Some((SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port), data.to_vec()))
    }

    /// Opens a socket for echo requests of this identifier.
    ///
    /// # Panics
    /// Never: every identifier is valid.
    pub fn open_ping(&mut self, identifier: u16) -> SocketHandle {
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 16], vec![0; 128 * 1024]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket.bind(icmp::Endpoint::Ident(identifier)).expect("any identifier is valid");
        self.sockets.add(socket)
    }

    /// Sends an ICMP message as it is; `crate::packet::icmp` writes one.
    ///
    /// # Panics
    /// If the socket's buffer is full.
    pub fn send_icmp(&mut self, handle: SocketHandle, to: impl Into<IpAddr>, message: &[u8]) {
        let socket = self.sockets.get_mut::<icmp::Socket<'_>>(handle);
        socket.send_slice(message, to.into().into()).expect("room for a message");
    }

    /// Takes the next ICMP message that arrived for the socket.
    pub fn receive_icmp(&mut self, handle: SocketHandle) -> Option<Vec<u8>> {
        self.sockets.get_mut::<icmp::Socket<'_>>(handle).recv().ok().map(|(message, _)| message.to_vec())
    }

    fn socket(&self) -> tcp::Socket<'static> {
        let buffer = || tcp::SocketBuffer::new(vec![0; self.config.buffer_bytes]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket
    }

    /// Lets every program do what it can. Returns whether any did.
    fn run_programs(&mut self, now: Instant) -> bool {
        let mut acted = false;
        let mut over = Vec::new();
        for (index, connection) in self.connections.iter_mut().enumerate() {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(connection.handle);
            if connection.listens.is_some() {
                if matches!(socket.state(), tcp::State::Listen | tcp::State::SynReceived) {
                    continue;
                }
                connection.listens = None;
            }
            acted |= advance(now, socket, &mut connection.app);
            let app = &mut connection.app;
            match socket.state() {
                // A reset leaves the socket closed with the program still at work.
                tcp::State::Closed => {
                    app.ends(app.both_closed());
                    over.push(index);
                }
                tcp::State::TimeWait if app.both_closed() => {
                    app.ends(true);
                    over.push(index);
                }
                _ => {}
            }
        }
        for index in over.into_iter().rev() {
            // In TIME_WAIT the socket answers a repeated FIN; it stays in the set until its time is over.
            let connection = self.connections.remove(index);
            self.finished.push((connection.app.role(), connection.app.outcome()));
            if self.sockets.get::<tcp::Socket<'_>>(connection.handle).state() == tcp::State::Closed {
                self.sockets.remove(connection.handle);
            }
            acted = true;
        }
        acted
    }

    fn run_dhcp(&mut self, now: Instant) {
        let Some(handle) = self.dhcp else { return };
        match self.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
            Some(dhcpv4::Event::Configured(config)) => {
                let lease = (config.address.address(), config.address.prefix_len());
                let router = config.router;
                set_address(&mut self.interface, Some((lease.0.into(), lease.1)), router.map(IpAddr::V4));
                self.leased = Some(now);
            }
            Some(dhcpv4::Event::Deconfigured) => {
                set_address(&mut self.interface, None, None);
                self.leased = None;
            }
            None => {}
        }
    }
}

impl Host for SmoltcpHost {
    fn handle_frame(&mut self, _now: Instant, frame: &[u8]) {
        self.device.received.push_back(frame.to_vec());
        self.busy = true;
    }

    fn poll_frame(&mut self, now: Instant) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.device.to_send.pop_front() {
                return Some(frame);
            }
            let at = smol_time(now);
            let changed = self.interface.poll(at, &mut self.device, &mut self.sockets);
            self.run_dhcp(now);
            let acted = self.run_programs(now);
            let more = acted || changed == smoltcp::iface::PollResult::SocketStateChanged;
            if self.device.to_send.is_empty() && !more {
                self.busy = false;
                return None;
            }
        }
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        if self.busy {
            return Some(now);
        }
        let programs = self.connections.iter().filter_map(|connection| connection.app.wakes(now));
        let delay = self.interface.poll_delay(smol_time(now), &self.sockets);
        let stack = delay.map(|delay| now + Duration::from_micros(delay.total_micros()));
        programs.chain(stack).min()
    }

    /// FINs that are not acknowledged, if the stack has no deadline at all: it waits for nothing that could send them again.
    fn lost_fin_timers(&mut self, now: Instant) -> u64 {
        if self.busy || self.interface.poll_delay(smol_time(now), &self.sockets).is_some() {
            return 0;
        }
        let waits = |connection: &&Connection| {
            let socket = self.sockets.get::<tcp::Socket<'_>>(connection.handle);
            let closing =
                matches!(socket.state(), tcp::State::FinWait1 | tcp::State::Closing | tcp::State::LastAck);
            closing && socket.send_queue() == 0
        };
        self.connections.iter().filter(waits).count() as u64
    }

    fn finished(&self) -> &[(Role, Outcome)] {
        &self.finished
    }
}

fn smol_time(now: Instant) -> SmolInstant {
    SmolInstant::from_micros(now.as_us() as i64)
}

/// Sets the one address that is not from SLAAC.
fn set_address(interface: &mut Interface, address: Option<(IpAddr, u8)>, router: Option<IpAddr>) {
    interface.update_ip_addrs(|addresses| {
        addresses.retain(|cidr| matches!(cidr, IpCidr::Ipv6(_)));
        addresses.extend(address.map(|(address, prefix)| IpCidr::new(address.into(), prefix)));
    });
    let routes = interface.routes_mut();
    routes.remove_default_ipv4_route();
    let before = match router {
        Some(IpAddr::V4(router)) => routes.add_default_ipv4_route(router),
        Some(IpAddr::V6(router)) => routes.add_default_ipv6_route(router),
        None => return,
    };
    before.expect("the table has room for a route");
}

fn advance(now: Instant, socket: &mut tcp::Socket<'_>, app: &mut App) -> bool {
    let mut acted = false;
    if app.reads(now) {
        while socket.can_recv() {
            let Ok(n) = socket.recv(|bytes| {
                app.receive(bytes);
                (bytes.len(), bytes.len())
            }) else {
                break;
            };
            acted |= n > 0;
        }
        let state = socket.state();
        let fin = matches!(
            state,
            tcp::State::CloseWait | tcp::State::LastAck | tcp::State::Closing | tcp::State::TimeWait
        );
        if fin {
            app.mark_fin();
            acted |= app.sees_fin();
        }
    }
    if socket.may_send() {
        while socket.can_send() {
            let offer = app.offer(socket.send_capacity() - socket.send_queue());
            let taken = if offer.is_empty() { 0 } else { socket.send_slice(&offer).unwrap_or(0) };
            if taken == 0 {
                break;
            }
            app.sent(taken);
            acted = true;
        }
        // `Faults::lost_fin_timers` would be met in most runs over an impaired link. With all data acknowledged before the program
        // closes, duplicates of acknowledgments of that data are hardly under way.
        if socket.send_queue() == 0 && app.closes() {
            socket.close();
            acted = true;
        }
    }
    acted
}

/// The wire's end inside the host.
struct Wire {
    received: VecDeque<Vec<u8>>,
    to_send: VecDeque<Vec<u8>>,
    mtu: usize,
    checksums: bool,
}

impl Device for Wire {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 14 + self.mtu;
        if !self.checksums {
            let mut checksum = ChecksumCapabilities::ignored();
            checksum.ipv4 = Checksum::None;
            capabilities.checksum = checksum;
        }
        capabilities
    }

    fn receive(&mut self, _at: SmolInstant) -> Option<(Arrived, Leaving<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Arrived(frame), Leaving(&mut self.to_send)))
    }

    fn transmit(&mut self, _at: SmolInstant) -> Option<Leaving<'_>> {
        // What a NIC's ring would hold: a stack that is never told to stop queues its whole window at once.
        (self.to_send.len() < 256).then_some(Leaving(&mut self.to_send))
    }
}

struct Arrived(Vec<u8>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Leaving<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}
