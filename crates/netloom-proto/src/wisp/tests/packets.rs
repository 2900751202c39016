//! Packets byte by byte.

use super::*;

#[test]
fn packets_are_the_bytes_of_the_specification() {
    let connect = packet(0x0102_0304, Packet::Connect { kind: Kind::Tcp, port: 0x1f90, host: "1.2.3.4" });
    assert_eq!(connect, [&[1, 4, 3, 2, 1, 1, 0x90, 0x1f][..], b"1.2.3.4"].concat());
    assert_eq!(packet(7, Packet::Data(b"ab")), [2, 7, 0, 0, 0, b'a', b'b']);
    assert_eq!(packet(0, Packet::Continue(128)), [3, 0, 0, 0, 0, 128, 0, 0, 0]);
    assert_eq!(packet(9, Packet::Close(Reason::REFUSED)), [4, 9, 0, 0, 0, 0x44]);
    assert_eq!(packet(0, Packet::Info(&[2, 0])), [5, 0, 0, 0, 0, 2, 0]);
    assert_eq!(packet(9, Packet::Fin), [0xe1, 9, 0, 0, 0]);
}

#[test]
fn packets_are_read_as_they_were_written() {
    for sent in [
        Packet::Connect { kind: Kind::Udp, port: 53, host: "example.org" },
        Packet::Connect { kind: Kind::Tcp, port: 0, host: "ü" },
        Packet::Data(&[]),
        Packet::Data(&[0; 70_000]),
        Packet::Continue(u32::MAX),
        Packet::Close(Reason(0xff)),
        Packet::Info(&[]),
        Packet::Fin,
    ] {
        let bytes = packet(u32::MAX, sent);
        assert_eq!(Packet::parse(&bytes), Ok((u32::MAX, sent)));
    }
}

#[test]
fn what_is_no_packet_is_told_apart() {
    assert_eq!(Packet::parse(&[]), Err(PacketError::Short(None)));
    assert_eq!(Packet::parse(&[2, 1, 0, 0]), Err(PacketError::Short(None)));
    assert_eq!(Packet::parse(&[3, 1, 0, 0, 0, 1, 2, 3]), Err(PacketError::Short(Some(1))));
    assert_eq!(Packet::parse(&[1, 1, 0, 0, 0, 1, 2]), Err(PacketError::Short(Some(1))));
    assert_eq!(Packet::parse(&[9, 1, 0, 0, 0]), Err(PacketError::Type(1)));
    assert_eq!(Packet::parse(&[1, 1, 0, 0, 0, 7, 80, 0, b'a']), Err(PacketError::Kind(1)));
    assert_eq!(Packet::parse(&[1, 1, 0, 0, 0, 1, 80, 0]), Err(PacketError::Host(1)));
    assert_eq!(Packet::parse(&[1, 1, 0, 0, 0, 1, 80, 0, 0xff]), Err(PacketError::Host(1)));
}

#[test]
fn a_close_without_a_reason_is_one_for_an_unknown_reason() {
    assert_eq!(Packet::parse(&[4, 1, 0, 0, 0]), Ok((1, Packet::Close(Reason::UNKNOWN))));
}
