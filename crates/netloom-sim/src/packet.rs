//! Frames by hand: a strict reader for the checker and writers for tests. Written apart from the machine's own wire code on purpose,
//! so that a mistake there cannot hide itself here (RFC 791, 792, 768, 9293; RFC 826 for ARP; RFC 8200, 4443, 4861 for IPv6).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netloom_core::MacAddr;

/// Length of an Ethernet header.
pub const ETHERNET_BYTES: usize = 14;

/// TCP flags in the order of the header's bits.
pub mod flag {
    /// No more from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field counts.
    pub const ACK: u8 = 0x10;
}

/// A TCP segment as it was read.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number, if the flag says so.
    pub ack: Option<u32>,
    /// Flags, see [`flag`].
    pub flags: u8,
    /// Window as it stands in the header, not scaled.
    pub window: u16,
    /// The MSS option.
    pub mss: Option<u16>,
    /// The window scale option.
    pub scale: Option<u8>,
    /// Length of the options.
    pub options_bytes: usize,
    /// The data.
    pub payload: &'a [u8],
}

impl Segment<'_> {
    /// Whether a flag is set.
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What a frame turned out to be.
#[derive(Clone, Debug)]
pub enum Packet<'a> {
    /// TCP.
    Tcp(Segment<'a>),
    /// UDP: source, destination, data.
    Udp(SocketAddr, SocketAddr, &'a [u8]),
    /// ICMP, of the addresses' family: source, destination, message.
    Icmp(IpAddr, IpAddr, &'a [u8]),
    /// A fragment, or another protocol, over IPv4 or IPv6.
    Ip(IpAddr, IpAddr),
    /// ARP about IPv4: operation, sender's MAC and address, target's address.
    Arp(u16, MacAddr, Ipv4Addr, Ipv4Addr),
    /// Another ethertype.
    Other(u16),
}

/// The Internet checksum over parts that are joined; parts but the last must be of even length (RFC 1071).
#[must_use]
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The checksum of a TCP, UDP or ICMPv6 message whose checksum field is zero.
#[must_use]
pub fn transport_checksum(
    source: impl Into<IpAddr>,
    destination: impl Into<IpAddr>,
    protocol: u8,
    message: &[u8],
) -> u16 {
    // For IPv4 the same fields stand in less room, which a sum does not notice.
    let tail = [&(message.len() as u32).to_be_bytes()[..], &[0, 0, 0, protocol]].concat();
    checksum(&[&octets(source.into()), &octets(destination.into()), &tail, message])
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(be32(bytes, at))
}

/// The IPv6 address at a place, behind which there must be room for it.
fn address_v6(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    octets.into()
}

/// The MAC addresses of a frame: destination, source.
#[must_use]
pub fn macs(frame: &[u8]) -> Option<(MacAddr, MacAddr)> {
    Some((MacAddr(frame.get(..6)?.try_into().ok()?), MacAddr(frame.get(6..12)?.try_into().ok()?)))
}

/// Reads a frame, strictly. `checksums` says whether TCP, UDP, ICMP and IPv4 checksums must hold.
///
/// # Errors
/// A sentence about what is wrong with the frame.
pub fn read(frame: &[u8], checksums: bool) -> Result<Packet<'_>, String> {
    if frame.len() < ETHERNET_BYTES {
        return Err(format!("a frame of {} bytes has no Ethernet header", frame.len()));
    }
    let payload = &frame[ETHERNET_BYTES..];
    match be16(frame, 12) {
        0x0800 => read_ipv4(payload, checksums),
        0x0806 => read_arp(payload),
        0x86dd => read_ipv6(payload, checksums),
        other => Ok(Packet::Other(other)),
    }
}

fn read_arp(arp: &[u8]) -> Result<Packet<'_>, String> {
    if arp.len() < 28 || arp[..6] != [0, 1, 8, 0, 6, 4] {
        return Err("ARP is not about IPv4 over Ethernet".into());
    }
    let sender = MacAddr([arp[8], arp[9], arp[10], arp[11], arp[12], arp[13]]);
    Ok(Packet::Arp(be16(arp, 6), sender, address(arp, 14), address(arp, 24)))
}

fn read_ipv4(packet: &[u8], checksums: bool) -> Result<Packet<'_>, String> {
    if packet.len() < 20 || packet[0] >> 4 != 4 {
        return Err("no IPv4 header".into());
    }
    let header = usize::from(packet[0] & 15) * 4;
    let total = usize::from(be16(packet, 2));
    if header < 20 || header > total || total > packet.len() {
        return Err(format!("IPv4 header {header}, total {total}, in {} bytes", packet.len()));
    }
    if checksums && checksum(&[&packet[..header]]) != 0 {
        return Err("IPv4 header checksum is wrong".into());
    }
    if packet[8] == 0 {
        return Err("TTL is 0 on the wire".into());
    }
    let (source, destination) = (address(packet, 12), address(packet, 16));
    if source.is_multicast() || source.is_broadcast() {
        return Err(format!("source {source} names no host"));
    }
    let data = &packet[header..total];
    if be16(packet, 6) & 0x3fff != 0 {
        return Ok(Packet::Ip(source.into(), destination.into()));
    }
    if packet[9] == 1 {
        if checksums && checksum(&[data]) != 0 {
            return Err("ICMP checksum is wrong".into());
        }
        return if data.len() < 8 {
            Err("ICMP of less than 8 bytes".into())
        } else {
            Ok(Packet::Icmp(source.into(), destination.into(), data))
        };
    }
    read_transport(source.into(), destination.into(), packet[9], data, checksums)
}

fn read_ipv6(packet: &[u8], checksums: bool) -> Result<Packet<'_>, String> {
    if packet.len() < 40 || packet[0] >> 4 != 6 {
        return Err("no IPv6 header".into());
    }
    let total = 40 + usize::from(be16(packet, 4));
    if total > packet.len() {
        return Err(format!("IPv6 packet of {total} bytes, in {}", packet.len()));
    }
    let (source, destination) = (address_v6(packet, 8), address_v6(packet, 24));
    if source.is_multicast() || source.to_ipv4_mapped().is_some() || destination.to_ipv4_mapped().is_some() {
        return Err(format!("from {source} to {destination}"));
    }
    let (mut next, mut data) = (packet[6], &packet[40..total]);
    if next == 0 && data.len() >= 8 {
        // The router alert of MLD.
        let length = 8 * (1 + usize::from(data[1]));
        (next, data) = (data[0], data.get(length..).ok_or("hop-by-hop options reach beyond the packet")?);
    }
    let (from, to) = (IpAddr::from(source), IpAddr::from(destination));
    if next != 58 {
        if packet[7] == 0 {
            return Err("hop limit is 0 on the wire".into());
        }
        return read_transport(from, to, next, data, checksums);
    }
    if data.len() < 4 {
        return Err("ICMPv6 of less than 4 bytes".into());
    }
    if checksums && transport_checksum(from, to, 58, data) != 0 {
        return Err("ICMPv6 checksum is wrong".into());
    }
    if (133..=137).contains(&data[0]) && packet[7] != 255 {
        return Err(format!("neighbour discovery with a hop limit of {}", packet[7]));
    }
    Ok(Packet::Icmp(from, to, data))
}

fn read_transport(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    data: &[u8],
    checksums: bool,
) -> Result<Packet<'_>, String> {
    let sums_to_zero = || transport_checksum(source, destination, protocol, data) == 0;
    match protocol {
        6 if checksums && data.len() >= 20 && !sums_to_zero() => Err("TCP checksum is wrong".into()),
        6 => read_tcp(source, destination, data).map(Packet::Tcp),
        17 => {
            if data.len() < 8 || usize::from(be16(data, 4)) != data.len() {
                return Err("UDP length is not that of the packet".into());
            }
            let has_checksum = be16(data, 6) != 0;
            if checksums && (has_checksum || source.is_ipv6()) && !(has_checksum && sums_to_zero()) {
                return Err("UDP checksum is wrong".into());
            }
            let (from, to) = (be16(data, 0), be16(data, 2));
            Ok(Packet::Udp(SocketAddr::new(source, from), SocketAddr::new(destination, to), &data[8..]))
        }
        _ => Ok(Packet::Ip(source, destination)),
    }
}

fn read_tcp(source: IpAddr, destination: IpAddr, tcp: &[u8]) -> Result<Segment<'_>, String> {
    if tcp.len() < 20 {
        return Err("no TCP header".into());
    }
    let header = usize::from(tcp[12] >> 4) * 4;
    if header < 20 || header > tcp.len() {
        return Err(format!("TCP header of {header} bytes in {}", tcp.len()));
    }
    let flags = tcp[13];
    let (mut mss, mut scale) = (None, None);
    let mut options = &tcp[20..header];
    while let [kind, rest @ ..] = options {
        match kind {
            0 => break,
            1 => options = rest,
            _ => {
                let length = rest.first().map_or(0, |n| usize::from(*n));
                if length < 2 || length > options.len() {
                    return Err(format!("TCP option {kind} of length {length}"));
                }
                match (kind, length) {
                    (2, 4) => mss = Some(be16(options, 2)),
                    (3, 3) => scale = Some(options[2]),
                    _ => {}
                }
                options = &options[length..];
            }
        }
    }
    Ok(Segment {
        source: SocketAddr::new(source, be16(tcp, 0)),
        destination: SocketAddr::new(destination, be16(tcp, 2)),
        seq: be32(tcp, 4),
        ack: (flags & flag::ACK != 0).then(|| be32(tcp, 8)),
        flags,
        window: be16(tcp, 14),
        mss,
        scale,
        options_bytes: header - 20,
        payload: &tcp[header..],
    })
}

/// An Ethernet frame.
#[must_use]
pub fn ethernet(destination: MacAddr, source: MacAddr, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&destination.0[..], &source.0, &ethertype.to_be_bytes(), payload].concat()
}

/// A frame from one MAC address to another with an ordinary packet from one IP address to another.
///
/// # Panics
/// If the addresses are of different families.
#[must_use]
pub fn ip_frame(macs: (MacAddr, MacAddr), pair: (IpAddr, IpAddr), protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (ethertype, packet) = match pair {
        (IpAddr::V4(from), IpAddr::V4(to)) => (0x0800, Ipv4::new(from, to, protocol).packet(payload)),
        (IpAddr::V6(from), IpAddr::V6(to)) => (0x86dd, Ipv6::new(from, to, protocol).packet(payload)),
        _ => panic!("{pair:?}"),
    };
    ethernet(macs.1, macs.0, ethertype, &packet)
}

/// An ARP packet, without its Ethernet header.
#[must_use]
pub fn arp(operation: u16, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    let op = operation.to_be_bytes();
    let (from, to) = (sender.1.octets(), target.1.octets());
    [&[0, 1, 8, 0, 6, 4], &op[..], &sender.0.0, &from, &target.0.0, &to].concat()
}

/// What an IPv4 header says besides its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Protocol number.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Identification.
    pub id: u16,
    /// Flags and fragment offset as they stand in the header: 0x4000 is DF, 0x2000 MF, the rest counts 8 bytes.
    pub fragment: u16,
}

impl Ipv4 {
    /// A header that is not a fragment.
    #[must_use]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8) -> Self {
        Self { source, destination, protocol, ttl: 64, id: 1, fragment: 0 }
    }

    /// The packet with its header, checksummed.
    #[must_use]
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&((20 + payload.len()) as u16).to_be_bytes());
        packet[4..6].copy_from_slice(&self.id.to_be_bytes());
        packet[6..8].copy_from_slice(&self.fragment.to_be_bytes());
        packet[8] = self.ttl;
        packet[9] = self.protocol;
        packet[12..16].copy_from_slice(&self.source.octets());
        packet[16..20].copy_from_slice(&self.destination.octets());
        let sum = checksum(&[&packet]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend_from_slice(payload);
        packet
    }
}

/// What an IPv6 header says besides its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// What follows the header.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
}

impl Ipv6 {
    /// A header with the usual hop limit: 255 in front of ICMPv6, which may be neighbour discovery.
    #[must_use]
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8) -> Self {
        Self { source, destination, next_header, hop_limit: if next_header == 58 { 255 } else { 64 } }
    }

    /// The packet with its header.
    #[must_use]
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        packet.extend_from_slice(&[self.next_header, self.hop_limit]);
        packet.extend_from_slice(&self.source.octets());
        packet.extend_from_slice(&self.destination.octets());
        packet.extend_from_slice(payload);
        packet
    }
}

/// An ICMPv6 message, checksummed, without IPv6 header. `rest` is what stands in bytes 4 to 8.
#[must_use]
pub fn icmpv6(pair: (Ipv6Addr, Ipv6Addr), kind: u8, code: u8, rest: u32, payload: &[u8]) -> Vec<u8> {
    let mut icmp = [&[kind, code, 0, 0], &rest.to_be_bytes()[..], payload].concat();
    let sum = transport_checksum(pair.0, pair.1, 58, &icmp);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    icmp
}

/// A UDP datagram, checksummed, without IP header.
#[must_use]
pub fn udp(source: impl Into<SocketAddr>, destination: impl Into<SocketAddr>, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = (source.into(), destination.into());
    let mut udp = Vec::with_capacity(8 + payload.len());
    udp.extend_from_slice(&source.port().to_be_bytes());
    udp.extend_from_slice(&destination.port().to_be_bytes());
    udp.extend_from_slice(&((8 + payload.len()) as u16).to_be_bytes());
    udp.extend_from_slice(&[0, 0]);
    udp.extend_from_slice(payload);
    let sum = transport_checksum(source.ip(), destination.ip(), 17, &udp);
    udp[6..8].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
    udp
}

/// An ICMP message, checksummed, without IPv4 header. `rest` is what stands in bytes 4 to 8.
#[must_use]
pub fn icmp(kind: u8, code: u8, rest: u32, payload: &[u8]) -> Vec<u8> {
    let mut icmp = [&[kind, code, 0, 0], &rest.to_be_bytes()[..], payload].concat();
    let sum = checksum(&[&icmp]);
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    icmp
}

/// A TCP segment, checksummed, without IP header and without options but an MSS if one is given.
#[must_use]
pub fn tcp(segment: &Segment<'_>) -> Vec<u8> {
    let options = segment.mss.map(|mss| [&[2, 4], &mss.to_be_bytes()[..]].concat()).unwrap_or_default();
    let mut tcp = vec![0; 20];
    tcp[..2].copy_from_slice(&segment.source.port().to_be_bytes());
    tcp[2..4].copy_from_slice(&segment.destination.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&segment.seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&segment.ack.unwrap_or(0).to_be_bytes());
    tcp[12] = (((20 + options.len()) / 4) << 4) as u8;
    tcp[13] = segment.flags | if segment.ack.is_some() { flag::ACK } else { 0 };
    tcp[14..16].copy_from_slice(&segment.window.to_be_bytes());
    tcp.extend_from_slice(&options);
    tcp.extend_from_slice(segment.payload);
    let sum = transport_checksum(segment.source.ip(), segment.destination.ip(), 6, &tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    tcp
}

/// A DNS query for one name that wants recursion.
#[must_use]
pub fn dns_query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    let labels: Vec<u8> = labels.collect();
    [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &labels, &[0], &kind.to_be_bytes(), &[0, 1]]
        .concat()
}
