//! Arbitrary messages: no panic, tables bounded, no address twice.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::client::*;

/// A message that parses far: real header, random kind, options that mean something with random values.
fn message() -> impl Strategy<Value = Message> {
    let address = prop_oneof![(98..=104u8).prop_map(ip), any::<u32>().prop_map(Into::into)];
    let option = prop_oneof![
        address.clone().prop_map(|a| (50, a.octets().to_vec())),
        Just((54, SERVER.octets().to_vec())),
        "[a-c]".prop_map(|name: String| (12, name.into_bytes())),
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20)),
        (0..4u8).prop_map(|id| (61, vec![id])),
    ];
    let options = proptest::collection::vec(option, 0..5);
    (0..10u8, 0..8u8, any::<bool>(), address, options).prop_map(|(kind, client, renews, address, options)| {
        let message = Message::new(kind, mac(client));
        let message = if renews { message.ciaddr(address) } else { message };
        options.into_iter().fold(message, |message, (code, value)| message.option(code, &value))
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        let _ = server().handle(at_s(0), &bytes, &|_, _| false);
    }

    #[test]
    fn arbitrary_options_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..400), overload: u8) {
        let mut message = Message::new(DISCOVER, mac(1)).option(52, &[overload]);
        message.bytes[44..236].iter_mut().zip(&tail).for_each(|(to, from)| *to = *from);
        message.bytes.extend_from_slice(&tail);
        let _ = server().handle(at_s(0), &message.bytes, &|_, _| false);
    }

    #[test]
    fn no_sequence_of_messages_leases_an_address_or_a_name_twice(
        messages in proptest::collection::vec((message(), 0..2000u64, any::<u8>()), 0..60)
    ) {
        let mut server = server();
        let mut now_s = 0;
        for (message, pause_s, used) in messages {
            now_s += pause_s;
            let bytes = message.option(255, &[]).bytes;
            if let Ok(Some(reply)) = server.handle(at_s(now_s), &bytes, &|address, _| address == ip(used)) {
                let reply = Parsed::of(&reply);
                if reply.kind == OFFER || reply.kind == ACK && !reply.yiaddr.is_unspecified() {
                    prop_assert!((100..=103).contains(&reply.yiaddr.octets()[3]));
                    prop_assert!(reply.yiaddr != ip(101), "it is reserved for another");
                }
            }
            let leases: Vec<_> = server.leases(at_s(now_s)).collect();
            let macs: BTreeSet<_> = leases.iter().map(|lease| lease.mac).collect();
            let names: Vec<_> = leases.iter().filter_map(|lease| lease.name.clone()).collect();
            prop_assert_eq!(macs.len(), leases.len());
            prop_assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
            for lease in &leases {
                prop_assert_eq!(server.lease_of(at_s(now_s), lease.mac), Some(*lease));
                if let Some(name) = &lease.name {
                    prop_assert_eq!(server.lease_of_name(at_s(now_s), name), Some(*lease));
                }
            }
        }
    }
}
