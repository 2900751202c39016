//! Limits under load: fifty clients of one address that take all they can beside one of another address, and a flood of connections beside
//! a guest that is there. The figures are shown with `--nocapture`.
#![allow(clippy::expect_used, reason = "tests")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::leased::Leased;
use common::packet::{GATEWAY, echo_request};
use common::wisp::listener;
use common::{Guest, PATIENCE, Relay};
use netloom_proto::websocket::{Opcode, put_frame};
use socket2::{Domain, Socket, Type};

const CLIENTS: usize = 50;
const ADDRESS_BYTES_PER_S: usize = 2_000_000;
/// How long is measured, after as long a time in which rates settle.
const MEASURED: Duration = Duration::from_secs(4);
const SETTLING: Duration = Duration::from_secs(1);

/// A connection from an address of this host's loopback.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    try_connect(from, to).expect("it listens")
}

fn try_connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into())?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

/// A plain stream to a target.
fn stream(relay: &Relay, from: Ipv4Addr, target: SocketAddr) -> TcpStream {
    let guest =
        Guest::over(connect_from(from, relay.address), relay.address, &format!("/wisp/{target}"), &[]);
    guest.expect("a stream").stream
}

/// A target of many connections.
fn target(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let (listener, address) = listener();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Counts what each of `streams` reads while it is measured.
fn measure(streams: Vec<TcpStream>) -> Vec<usize> {
    let begin = Instant::now() + SETTLING;
    let end = begin + MEASURED;
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            std::thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                let mut counted = 0;
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                loop {
                    let read = stream.read(&mut buffer).expect("more");
                    let now = Instant::now();
                    if now >= end {
                        return counted;
                    }
                    if now >= begin {
                        counted += read;
                    }
                }
            })
        })
        .collect();
    readers.into_iter().map(|reader| reader.join().expect("counted")).collect()
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

#[test]
fn fifty_clients_have_the_rate_of_their_address_in_equal_parts_and_another_address_has_its_own() {
    let limit = format!("address.download_bytes_per_s={ADDRESS_BYTES_PER_S}");
    let relay = Relay::start(&["--limit", &limit, "--allow", "127.0.0.1"]);
    let target = target(|mut stream| while stream.write_all(&[7; 16_384]).is_ok() {});
    let crowd = Ipv4Addr::new(127, 0, 0, 2);
    let mut streams: Vec<TcpStream> = (0..CLIENTS).map(|_| stream(&relay, crowd, target)).collect();
    streams.push(stream(&relay, Ipv4Addr::new(127, 0, 0, 3), target));
    let mut counted = measure(streams);
    let seconds = MEASURED.as_secs() as usize;
    let alone = percent(counted.pop().expect("the other's"), seconds * ADDRESS_BYTES_PER_S);
    let total = percent(counted.iter().sum(), seconds * ADDRESS_BYTES_PER_S);
    let part = seconds * ADDRESS_BYTES_PER_S / CLIENTS;
    let (least, most) = (counted.iter().min().expect("some"), counted.iter().max().expect("some"));
    let (least, most) = (percent(*least, part), percent(*most, part));
    println!(
        "{CLIENTS} clients have {total:.1} % of their rate, each {least:.1} to {most:.1} % of its part; the other {alone:.1} %"
    );
    for share in [total, alone, least, most] {
        assert!((90.0..=110.0).contains(&share), "{total:.1} % ({least:.1} to {most:.1}), {alone:.1} %");
    }
}

#[test]
fn fifty_clients_send_at_their_own_rates() {
    const CLIENT_BYTES_PER_S: usize = 50_000;
    let limit = format!("client.upload_bytes_per_s={CLIENT_BYTES_PER_S}");
    let relay = Relay::start(&["--limit", &limit, "--allow", "127.0.0.1"]);
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let target = target(move |mut stream| {
        while let Ok(read @ 1..) = stream.read(&mut [0; 65_536]) {
            counted.fetch_add(read, Ordering::Relaxed);
        }
    });
    let mut message = Vec::new();
    put_frame(&mut message, Opcode::Binary, &[9; 8192], Some([1, 2, 3, 4]));
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..CLIENTS {
        let mut stream = stream(&relay, Ipv4Addr::LOCALHOST, target);
        let (message, stop) = (message.clone(), Arc::clone(&stop));
        std::thread::spawn(
            move || while !stop.load(Ordering::Relaxed) && stream.write_all(&message).is_ok() {},
        );
    }
    std::thread::sleep(SETTLING);
    let (began, before) = (Instant::now(), taken.load(Ordering::Relaxed));
    std::thread::sleep(MEASURED);
    let sent = taken.load(Ordering::Relaxed) - before;
    let whole = began.elapsed().as_secs_f64() * (CLIENTS * CLIENT_BYTES_PER_S) as f64;
    let share = percent(sent, whole as usize);
    stop.store(true, Ordering::Relaxed);
    println!("{CLIENTS} clients send at {share:.1} % of their rates together");
    assert!((90.0..=110.0).contains(&share), "{share:.1} %");
}

/// Round trips of a guest to the gateway until then, sorted.
fn round_trips(guest: &mut Leased, until: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        guest.send(1, GATEWAY, 1, &echo_request(7, 1, b"still there?"));
        guest.guest.expect("an answer", |frame| frame.ends_with(b"still there?") && frame[34] == 0);
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    times.sort();
    times
}

#[test]
fn ten_thousand_attempts_a_second_do_not_harm_a_guest() {
    const ATTEMPTS_PER_S: usize = 10_000;
    let relay = Relay::start(&["--limit", "address.connections_per_s=100"]);
    let mut guest = Leased::new(&relay, 1);
    let calm = round_trips(&mut guest, Instant::now() + Duration::from_secs(1));
    let (began, to) = (Instant::now(), relay.address);
    let until = began + Duration::from_secs(3);
    let floods: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut attempts = 0;
                while Instant::now() < until {
                    let due = began.elapsed().as_secs_f64() * (ATTEMPTS_PER_S / 4) as f64;
                    while (attempts as f64) < due && Instant::now() < until {
                        drop(try_connect(Ipv4Addr::new(127, 0, 0, 2), to));
                        attempts += 1;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                attempts
            })
        })
        .collect();
    let flooded = round_trips(&mut guest, until);
    let attempts: usize = floods.into_iter().map(|flood| flood.join().expect("counted")).sum();
    let at = |times: &[Duration], share: usize| times[times.len() * share / 100];
    println!(
        "{} attempts/s; round trips of the guest: {:?} median, {:?} 99 % in calm, {:?} and {:?} in the flood",
        attempts / 3,
        at(&calm, 50),
        at(&calm, 99),
        at(&flooded, 50),
        at(&flooded, 99)
    );
    assert!(flooded.len() > 100, "{} answers", flooded.len());
    // Whoever comes from elsewhere is let in.
    let other = connect_from(Ipv4Addr::new(127, 0, 0, 3), relay.address);
    assert!(Guest::over(other, relay.address, "/", &[]).is_ok());
}
