//! Segments in trains: what a port's last segment was judged by holds for the next one only as far as that one is the same.

use core::net::{Ipv4Addr, SocketAddrV4};

use netloom_core::{Drop, Event, FlowId, PortId};
use netloom_sim::Probe;
use netloom_sim::packet::{Ipv4, ethernet, flag, transport_checksum};
use netloom_sim::world::{GATEWAY_MAC, guest_address, guest_mac, lan_config};

const IRS: u32 = 1000;
const TARGET: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(93, 184, 216, 34), 80);
/// Where things stand in a frame without IP options.
const IP_CHECKSUM: usize = 14 + 10;
const TTL: usize = 14 + 8;
const DESTINATION: usize = 14 + 16;
const TCP_PAYLOAD: usize = 14 + 20 + 20;

struct Guest {
    probe: Probe,
    port: PortId,
    flow: FlowId,
    iss: u32,
    sent: u32,
}

impl Guest {
    /// A guest whose port has taken one segment of an open flow.
    fn new() -> Self {
        let mut probe = Probe::new(lan_config(1500));
        let port = probe.port();
        let mut guest = Self { probe, port, flow: FlowId::from_bits(0), iss: 0, sent: 0 };
        let syn = guest.frame(IRS, flag::SYN, b"");
        guest.probe.send(port, &syn);
        let events = guest.probe.events();
        let Some(Event::Open { id, .. }) = events.first() else { panic!("{events:?}") };
        guest.flow = *id;
        let now = guest.probe.now();
        guest.probe.lan.accept(now, *id);
        let answer = guest.probe.receive(port);
        guest.iss = u32::from_be_bytes([38, 39, 40, 41].map(|at| answer[0][at]));
        let data = guest.data(b"first");
        guest.probe.send(port, &data);
        assert_eq!(guest.received(), b"first");
        guest
    }

    fn frame(&self, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut message = [5000_u16.to_be_bytes(), TARGET.port().to_be_bytes()].concat();
        message.extend(seq.to_be_bytes());
        message.extend(self.iss.wrapping_add(u32::from(flags != flag::SYN)).to_be_bytes());
        message.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        message.extend(payload);
        let sum = transport_checksum(guest_address(0), *TARGET.ip(), 6, &message);
        message[16..18].copy_from_slice(&sum.to_be_bytes());
        let packet = Ipv4::new(guest_address(0), *TARGET.ip(), 6).packet(&message);
        ethernet(GATEWAY_MAC, guest_mac(0), 0x0800, &packet)
    }

    /// The next bytes of the stream.
    fn data(&mut self, payload: &[u8]) -> Vec<u8> {
        let frame = self.frame(IRS + 1 + self.sent, flag::ACK, payload);
        self.sent += payload.len() as u32;
        frame
    }

    fn received(&mut self) -> Vec<u8> {
        let bytes = self.probe.lan.peek(self.flow).concat();
        let now = self.probe.now();
        self.probe.lan.take(now, self.flow, bytes.len());
        bytes
    }

    /// Sends the next bytes, spoilt at one place, and sees that they are dropped for a reason and do no harm.
    fn spoil(&mut self, at: usize, why: Drop) {
        let good = self.data(b"bytes");
        let mut bad = good.clone();
        bad[at] ^= 1;
        let before = self.probe.lan.drops().of(why);
        self.probe.send(self.port, &bad);
        assert_eq!(self.probe.lan.drops().of(why), before + 1, "at {at}");
        assert!(self.received().is_empty());
        self.probe.send(self.port, &good);
        assert_eq!(self.received(), b"bytes");
    }
}

#[test]
fn a_spoilt_frame_is_dropped_as_if_it_were_the_first() {
    let mut guest = Guest::new();
    guest.spoil(IP_CHECKSUM, Drop::Ipv4Malformed);
    guest.spoil(TTL, Drop::Ipv4Malformed);
    guest.spoil(DESTINATION, Drop::Ipv4Malformed);
    guest.spoil(TCP_PAYLOAD, Drop::TcpMalformed);
    guest.spoil(TCP_PAYLOAD - 5, Drop::TcpMalformed);
}

#[test]
fn what_pads_a_frame_is_no_payload() {
    let mut guest = Guest::new();
    let mut frame = guest.data(b"short");
    frame.resize(80, 0xee);
    guest.probe.send(guest.port, &frame);
    assert_eq!(guest.received(), b"short");
}

#[test]
fn a_frame_that_is_cut_short_is_dropped() {
    let mut guest = Guest::new();
    let frame = guest.data(b"bytes");
    for length in 14..frame.len() {
        guest.probe.send(guest.port, &frame[..length]);
        assert!(guest.received().is_empty(), "{length} bytes");
    }
    guest.probe.send(guest.port, &frame);
    assert_eq!(guest.received(), b"bytes");
}

#[test]
fn a_flow_that_has_ended_takes_no_segment() {
    let mut guest = Guest::new();
    guest.probe.lan.reset(guest.flow);
    guest.probe.receive(guest.port);
    let frame = guest.data(b"late");
    let answer = guest.probe.ask(guest.port, &frame);
    assert_eq!(answer.len(), 1);
    assert_eq!(answer[0][47] & flag::RST, flag::RST);
    assert_eq!(guest.probe.lan.drops().of(Drop::TcpNoFlow), 1);
}
