//! The peer: two smoltcp interfaces joined in memory, a socket for each flow in one set.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint};

use super::{CHUNK_BYTES, CONNECTS, Pair, ROUND_US, Setup};

/// Two smoltcp stacks.
pub struct SmoltcpPair {
    client: End,
    server: End,
    now_us: i64,
    chunk: Vec<u8>,
    /// The busy flows, at either end.
    busy: Vec<Flow>,
    /// Sockets that are opened and reset again and again.
    connecting: Vec<Flow>,
    next_port: u16,
}

/// The sockets of a flow at the client and at the server.
type Flow = (SocketHandle, SocketHandle);

/// Frames that were read, to be written again: the peer pays for no allocation that we do not pay for.
type Pool = Rc<RefCell<Vec<Vec<u8>>>>;

struct End {
    interface: Interface,
    sockets: SocketSet<'static>,
    device: Wire,
}

/// Buffers of a flow that carries nothing.
const IDLE_BUFFER_BYTES: usize = 64;
const BULK_PORT: u16 = 5001;
const IDLE_PORT: u16 = 7;
const FIRST_LOCAL_PORT: u16 = 10_000;
/// Idle flows opened at once, for the listener has no backlog.
const BATCH: usize = 500;

impl SmoltcpPair {
    /// Two stacks with their flows open.
    ///
    /// # Errors
    /// A sentence if the flows did not open.
    pub fn new(setup: Setup) -> Result<Self, String> {
        let spare = Pool::default();
        let mut pair = Self {
            client: End::new(setup, 1, &spare),
            server: End::new(setup, 2, &spare),
            now_us: 0,
            chunk: vec![0x5a; CHUNK_BYTES],
            busy: Vec::new(),
            connecting: Vec::new(),
            next_port: FIRST_LOCAL_PORT,
        };
        pair.busy = pair.sockets(setup.busy_flows, setup.buffer_bytes());
        pair.open(&pair.busy.clone(), BULK_PORT)?;
        for from in (0..setup.idle_flows).step_by(BATCH) {
            let idle = pair.sockets(BATCH.min(setup.idle_flows - from), IDLE_BUFFER_BYTES);
            pair.open(&idle, IDLE_PORT)?;
        }
        Ok(pair)
    }

    fn sockets(&mut self, count: usize, buffer_bytes: usize) -> Vec<Flow> {
        let add = |end: &mut End| end.sockets.add(socket(buffer_bytes));
        (0..count).map(|_| (add(&mut self.client), add(&mut self.server))).collect()
    }

    fn open(&mut self, flows: &[Flow], port: u16) -> Result<(), String> {
        for (client, server) in flows {
            self.server.socket(*server).listen(port).map_err(|error| error.to_string())?;
            let remote = IpEndpoint::new(IpAddress::v4(10, 0, 0, 2), port);
            let End { interface, sockets, .. } = &mut self.client;
            let dialer = sockets.get_mut::<tcp::Socket<'_>>(*client);
            dialer.connect(interface.context(), remote, self.next_port).map_err(|error| error.to_string())?;
            self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_LOCAL_PORT);
        }
        for _ in 0..1000 {
            self.cross();
            let Self { client: own, server: other, .. } = self;
            if flows
                .iter()
                .all(|(client, server)| own.socket(*client).may_send() && other.socket(*server).may_send())
            {
                return Ok(());
            }
            // ARP's answer and the silent time after a question that was not answered.
            self.now_us += 10_000;
        }
        Err(format!("smoltcp did not open {} flows", flows.len()))
    }

    fn cross(&mut self) {
        self.now_us += ROUND_US as i64;
        let now = Instant::from_micros(self.now_us);
        self.client.poll(now);
        std::mem::swap(&mut self.client.device.to_send, &mut self.server.device.received);
        self.server.poll(now);
        std::mem::swap(&mut self.server.device.to_send, &mut self.client.device.received);
    }
}

impl Pair for SmoltcpPair {
    fn round(&mut self) -> u64 {
        for (bulk, _) in &self.busy {
            let sender = self.client.socket(*bulk);
            while sender.send_slice(&self.chunk).is_ok_and(|taken| taken == CHUNK_BYTES) {}
        }
        self.cross();
        let mut received = 0;
        for (_, sink) in &self.busy {
            let receiver = self.server.socket(*sink);
            while receiver.can_recv() {
                received += receiver.recv(|bytes| (bytes.len(), bytes.len())).unwrap_or(0) as u64;
            }
        }
        received
    }

    fn connects(&mut self) -> Result<(), String> {
        if self.connecting.is_empty() {
            self.connecting = self.sockets(CONNECTS, IDLE_BUFFER_BYTES);
        }
        let flows = std::mem::take(&mut self.connecting);
        self.open(&flows, IDLE_PORT)?;
        for (client, _) in &flows {
            self.client.socket(*client).abort();
        }
        self.cross();
        let Self { client: own, server: other, .. } = self;
        let over = flows
            .iter()
            .all(|(client, server)| !own.socket(*client).is_open() && !other.socket(*server).is_open());
        self.connecting = flows;
        if over { Ok(()) } else { Err("a flow is left".into()) }
    }
}

impl End {
    fn new(setup: Setup, host: u8, spare: &Pool) -> Self {
        let mut device = Wire {
            received: VecDeque::new(),
            to_send: VecDeque::new(),
            spare: Rc::clone(spare),
            mtu: usize::from(setup.mtu),
            checksums: setup.checksums,
        };
        let mac = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, host]));
        let mut interface = Interface::new(Config::new(mac), &mut device, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.extend([IpCidr::new(IpAddress::v4(10, 0, 0, host), 24)]);
        });
        Self { interface, sockets: SocketSet::new(Vec::new()), device }
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn poll(&mut self, now: Instant) {
        let _ = self.interface.poll(now, &mut self.device, &mut self.sockets);
    }
}

fn socket(buffer_bytes: usize) -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; buffer_bytes]);
    tcp::Socket::new(buffer(), buffer())
}

struct Wire {
    received: VecDeque<Vec<u8>>,
    to_send: VecDeque<Vec<u8>>,
    spare: Pool,
    mtu: usize,
    checksums: bool,
}

impl Device for Wire {
    type RxToken<'a> = Arrived<'a>;
    type TxToken<'a> = Leaving<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 14 + self.mtu;
        if !self.checksums {
            capabilities.checksum = ChecksumCapabilities::ignored();
        }
        capabilities
    }

    fn receive(&mut self, _at: Instant) -> Option<(Arrived<'_>, Leaving<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Arrived(frame, &self.spare), Leaving { to_send: &mut self.to_send, spare: &self.spare }))
    }

    fn transmit(&mut self, _at: Instant) -> Option<Leaving<'_>> {
        Some(Leaving { to_send: &mut self.to_send, spare: &self.spare })
    }
}

struct Arrived<'a>(Vec<u8>, &'a Pool);

impl RxToken for Arrived<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.0);
        self.1.borrow_mut().push(self.0);
        result
    }
}

struct Leaving<'a> {
    to_send: &'a mut VecDeque<Vec<u8>>,
    spare: &'a Pool,
}

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = self.spare.borrow_mut().pop().unwrap_or_default();
        frame.resize(len, 0);
        let result = f(&mut frame);
        self.to_send.push_back(frame);
        result
    }
}
