//! Segments larger than the wire: given whole to ports that take them, cut for all others, and each frame what its flow is at when it
//! leaves.

use core::net::{Ipv4Addr, SocketAddrV4};

use netloom_core::{Event, FlowId, PortConfig, PortId};
use netloom_sim::app::pattern;
use netloom_sim::packet::{Ipv4, Packet, ethernet, flag, read, transport_checksum};
use netloom_sim::world::{GATEWAY_MAC, guest_address, guest_mac, lan_config};
use netloom_sim::{Probe, Role};

const MSS: usize = 1460;
/// RFC 6928's initial window.
const FIRST_BYTES: usize = 10 * MSS;
const IRS: u32 = 1000;
const GUEST: u16 = 5000;
const TARGET: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(93, 184, 216, 34), 80);

/// A guest with a flow that is open.
struct Guest {
    probe: Probe,
    port: PortId,
    flow: FlowId,
    iss: u32,
    written: u64,
}

/// What a frame carries.
#[derive(Debug, PartialEq)]
struct Part {
    at: usize,
    length: usize,
    flags: u8,
}

impl Guest {
    fn new(config: PortConfig) -> Self {
        let mut probe = Probe::new(lan_config(1500));
        let port = probe.lan.open_port(config);
        let mut guest = Self { probe, port, flow: FlowId::from_bits(0), iss: 0, written: 0 };
        guest.send(IRS, None, flag::SYN, Some(MSS as u16));
        let events = guest.probe.events();
        let Some(Event::Open { id, .. }) = events.first() else { panic!("{events:?}") };
        guest.flow = *id;
        let now = guest.probe.now();
        guest.probe.lan.accept(now, *id);
        let frames = guest.probe.receive(port);
        let Ok(Packet::Tcp(syn)) = read(&frames[0], true) else { panic!("{frames:02x?}") };
        guest.iss = syn.seq;
        guest.acknowledge(0);
        guest
    }

    fn send(&mut self, seq: u32, ack: Option<u32>, flags: u8, mss: Option<u16>) {
        let options = mss.map_or_else(Vec::new, |mss| [&[2, 4][..], &mss.to_be_bytes()].concat());
        let mut message = [GUEST.to_be_bytes(), TARGET.port().to_be_bytes()].concat();
        message.extend(seq.to_be_bytes());
        message.extend(ack.unwrap_or_default().to_be_bytes());
        message.extend([((20 + options.len()) / 4) as u8 * 16, flags]);
        message.extend([0xff, 0xff, 0, 0, 0, 0]);
        message.extend(options);
        let sum = transport_checksum(guest_address(0), *TARGET.ip(), 6, &message);
        message[16..18].copy_from_slice(&sum.to_be_bytes());
        let packet = Ipv4::new(guest_address(0), *TARGET.ip(), 6).packet(&message);
        self.probe.send(self.port, &ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &packet));
    }

    fn acknowledge(&mut self, bytes: usize) {
        let ack = self.iss.wrapping_add(1 + bytes as u32);
        self.send(IRS + 1, Some(ack), flag::ACK, None);
    }

    fn write(&mut self, bytes: usize) {
        let now = self.probe.now();
        let bytes = pattern(Role::Server, self.written, bytes);
        self.written += self.probe.lan.write(now, self.flow, &bytes) as u64;
    }

    /// Checks a frame's checksums and bytes.
    fn part(&self, frame: &[u8]) -> Part {
        let Ok(Packet::Tcp(segment)) = read(frame, true) else { panic!("{:?}", read(frame, true)) };
        let at = segment.seq.wrapping_sub(self.iss + 1) as usize;
        assert_eq!(segment.payload, pattern(Role::Server, at as u64, segment.payload.len()), "at {at}");
        Part { at, length: segment.payload.len(), flags: segment.flags }
    }

    fn parts(&mut self) -> Vec<Part> {
        self.probe.receive(self.port).iter().map(|frame| self.part(frame)).collect()
    }

    fn next(&mut self) -> Option<Part> {
        let now = self.probe.now();
        let frame = self.probe.lan.poll_frame(now, self.port)?.to_vec();
        Some(self.part(&frame))
    }
}

fn cut(at: usize, count: usize, end: u8) -> Vec<Part> {
    let part =
        |i| Part { at: at + i * MSS, length: MSS, flags: flag::ACK | if i + 1 == count { end } else { 0 } };
    (0..count).map(part).collect()
}

#[test]
fn a_port_that_takes_large_segments_is_given_them_whole() {
    let mut guest = Guest::new(PortConfig { large_segments: true, ..PortConfig::default() });
    guest.write(FIRST_BYTES + 100);
    assert_eq!(guest.parts(), [Part { at: 0, length: FIRST_BYTES, flags: flag::ACK }]);
    guest.acknowledge(FIRST_BYTES);
    let last = Part { at: FIRST_BYTES, length: 100, flags: flag::ACK | flag::PSH };
    assert_eq!(guest.parts(), [last], "what is no whole segment follows by itself");
}

#[test]
fn for_any_other_port_they_are_cut() {
    let mut guest = Guest::new(PortConfig::default());
    guest.write(FIRST_BYTES);
    assert_eq!(guest.parts(), cut(0, 10, flag::PSH));
    guest.acknowledge(FIRST_BYTES);
    guest.write(3 * MSS);
    let now = guest.probe.now();
    guest.probe.lan.fin(now, guest.flow);
    assert_eq!(guest.parts(), cut(FIRST_BYTES, 3, flag::PSH | flag::FIN));
}

#[test]
fn a_burst_is_counted_in_frames() {
    let mut guest = Guest::new(PortConfig { burst: Some(4), ..PortConfig::default() });
    guest.write(FIRST_BYTES);
    assert_eq!(guest.parts(), cut(0, 4, 0));
    guest.acknowledge(0);
    assert_eq!(guest.parts(), cut(4 * MSS, 4, 0));
}

#[test]
fn a_flow_that_ends_takes_its_frames_along() {
    let mut guest = Guest::new(PortConfig::default());
    guest.write(FIRST_BYTES);
    assert_eq!(guest.next(), Some(Part { at: 0, length: MSS, flags: flag::ACK }));
    guest.probe.lan.reset(guest.flow);
    let end = guest.next().expect("a reset");
    assert_eq!((end.at, end.length), (FIRST_BYTES, 0));
    assert_eq!(end.flags & flag::RST, flag::RST);
    assert_eq!(guest.next(), None);
}

#[test]
fn what_the_guest_acknowledges_unseen_is_not_sent() {
    let mut guest = Guest::new(PortConfig::default());
    guest.write(FIRST_BYTES + 5 * MSS);
    assert_eq!(guest.next(), Some(Part { at: 0, length: MSS, flags: flag::ACK }));
    guest.acknowledge(FIRST_BYTES);
    assert_eq!(guest.parts(), cut(FIRST_BYTES, 5, flag::PSH));
}
