//! What tests of the way out share: a DNS server of this host, and a runtime.

#![allow(clippy::expect_used, reason = "a test that cannot go on panics")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// In place of an rcode: no answer.
pub(super) const SILENCE: u8 = 0xff;

/// A DNS server that answers queries for addresses by what `answer` says for a name and a type: an rcode, a time to live and addresses.
pub(super) fn server(
    answer: impl Fn(&str, u16) -> (u8, u32, Vec<IpAddr>) + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a server");
    let address = socket.local_addr().expect("its address");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((read, from)) = socket.recv_from(&mut buffer) {
            count.fetch_add(1, Ordering::SeqCst);
            let question = netloom_core::service::dns::question(&buffer[..read]).expect("a question");
            let (rcode, ttl, addresses) = answer(&question.name, question.kind);
            if rcode == SILENCE {
                continue;
            }
            let mut message = buffer[..read].to_vec();
            message[2] |= 0x80;
            message[3] |= rcode;
            message[7] = u8::try_from(addresses.len()).expect("few");
            for address in addresses {
                message.extend([0xc0, 12, 0, if address.is_ipv4() { 1 } else { 28 }, 0, 1]);
                message.extend(ttl.to_be_bytes());
                match address {
                    IpAddr::V4(v4) => message.extend([&[0, 4][..], &v4.octets()].concat()),
                    IpAddr::V6(v6) => message.extend([&[0, 16][..], &v6.octets()].concat()),
                }
            }
            socket.send_to(&message, from).expect("sent");
        }
    });
    (address, asked)
}

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}
