//! INFO of either end, of this draft and of earlier ones.

use super::*;
use crate::wisp::info::{ED25519, PasswordOffer};

fn server_round(info: &ServerInfo) -> Option<ServerInfo> {
    let mut bytes = Vec::new();
    info.put(&mut bytes);
    ServerInfo::parse(&bytes)
}

#[test]
fn a_servers_info_is_read_as_it_was_written() {
    let challenge =
        |sha512| KeyChallenge { required: true, algorithms: ED25519, challenge: vec![7; 64], sha512 };
    for info in [
        ServerInfo { version: (2, 0), ..ServerInfo::default() },
        full_info(),
        ServerInfo {
            password: Some(PasswordOffer { required: false, old_layout: false }),
            key: Some(challenge(false)),
            ..full_info()
        },
        ServerInfo {
            password: Some(PasswordOffer { required: true, old_layout: true }),
            key: Some(challenge(true)),
            ..full_info()
        },
    ] {
        assert_eq!(server_round(&info), Some(info));
    }
}

#[test]
fn unknown_extensions_are_passed_over_and_cut_ones_ignored() {
    let info = [2, 1, 0x77, 3, 0, 0, 0, 1, 2, 3, 1, 0, 0, 0, 0, 5, 9, 0, 0, 0, 1];
    let server = ServerInfo::parse(&info).unwrap();
    assert_eq!((server.version, server.udp, server.confirms), ((2, 1), true, false));
    assert_eq!(ServerInfo::parse(&[2]), None);
    assert!(!ServerInfo::parse(&[2, 0, 1, 255, 255, 255, 255]).unwrap().udp);
}

#[test]
fn a_password_is_written_as_the_servers_draft_reads_it() {
    let password = Password::new("me", "secret").unwrap();
    for (old_layout, metadata) in [(false, &b"\x02mesecret"[..]), (true, b"\x02\x06\x00mesecret")] {
        let info = ClientInfo { password: Some((password.clone(), old_layout)), ..ClientInfo::default() };
        let mut bytes = Vec::new();
        info.put(&mut bytes);
        assert_eq!(&bytes[7..], metadata);
        assert_eq!(ClientInfo::parse(&bytes, old_layout), Some(info));
    }
    assert_eq!(Password::new(&"u".repeat(256), ""), None);
    assert_eq!(Password::new("", &"p".repeat(65_536)), None);
}

#[test]
fn a_clients_info_is_read_as_it_was_written() {
    let key = KeyAnswer { algorithm: ED25519, key_hash: vec![1; 32], signature: vec![2; 64] };
    let info = ClientInfo {
        version: (2, 0),
        udp: true,
        key: Some(key),
        motd: true,
        confirms: true,
        half_close: true,
        stream_credit: Some(1 << 20),
        ..ClientInfo::default()
    };
    let mut bytes = Vec::new();
    info.put(&mut bytes);
    assert_eq!(ClientInfo::parse(&bytes, false), Some(info));
}
