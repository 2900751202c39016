//! The keepalive by itself, and of a whole LAN over real sockets. Only the clock is not real: it leaps to the next deadline when all tasks
//! wait.

use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser as _;
use netloom_proto::websocket::{Decoder, Message, Opcode, Role, put_frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

use super::keepalive::{Due, Keepalive};
use super::resume::Origin;
use super::{Encapsulation, LanTask, NewClient};
use crate::cli::{Cli, Command};
use crate::config::{Config, LimitSettings};
use crate::egress::Egress;
use crate::limit::Limits;
use crate::socket::Detached;

const MASK: [u8; 4] = [1, 2, 3, 4];

#[test]
fn a_silent_client_is_asked_three_times_and_then_given_up() {
    let begin = Instant::now();
    let at = |s| begin + Duration::from_secs(s);
    let mut keepalive = Keepalive::new(begin);
    assert_eq!(keepalive.check(at(0)), Due::Nothing(at(30)));
    keepalive.heard(at(7));
    assert_eq!(keepalive.check(at(30)), Due::Nothing(at(37)));
    assert_eq!(keepalive.check(at(37)), Due::Ping(at(67)));
    assert_eq!(keepalive.check(at(67)), Due::Ping(at(97)));
    assert_eq!(keepalive.check(at(97)), Due::Ping(at(107)));
    assert_eq!(keepalive.check(at(107)), Due::Dead);
    keepalive.heard(at(100));
    assert_eq!(keepalive.check(at(107)), Due::Nothing(at(130)));
}

/// Whether a client answers pings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    Answers,
    Silent,
}

/// The seconds at which a client of a default LAN was pinged, up to `pings` of them, and the one at which it was cut off if it was.
async fn serve(manners: Manners, pings: usize) -> (Vec<u64>, Option<u64>) {
    let cli = Cli::try_parse_from(["netloom", "relay"]).expect("no flags are needed");
    let Command::Relay(args) = cli.command else { panic!("a relay") };
    let config = Config::load(&args).expect("the defaults are right");
    let settings = config.lans[0].clone();
    let egress = Egress::new(&config.egress, Vec::new()).lan(&settings);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut client = TcpStream::connect(address).await.expect("it listens");
    let (stream, peer) = listener.accept().expect("a client waits");
    stream.set_nonblocking(true).expect("a socket");

    let (arrivals, receiver) = mpsc::unbounded_channel();
    let (_running, stop) = watch::channel(false);
    let permit = || Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a permit");
    let permits = (Arc::new(permit()), permit());
    let new = NewClient {
        socket: Detached::Tcp(stream),
        encapsulation: Encapsulation::Raw,
        read: Bytes::new(),
        peer: peer.to_string(),
        pass: None,
        share: crate::limit::Share::default(),
        origin: Origin::default(),
        permits,
    };
    assert!(arrivals.send(new).is_ok(), "the LAN listens");
    let (_questions, asked) = mpsc::unbounded_channel();
    let limits = Arc::new(Limits::new(&LimitSettings::new(false)));
    spawn_local(
        Rc::new(LanTask::new(settings, egress, limits, Arc::default(), [7; 32])).run(receiver, asked, stop),
    );

    let began = Instant::now();
    let mut decoder = Decoder::new(Role::Client, 1500);
    let mut pinged = Vec::new();
    while pinged.len() < pings {
        let mut bytes = [0; 256];
        let read = client.read(&mut bytes).await.expect("no reset");
        if read == 0 {
            return (pinged, Some(began.elapsed().as_secs()));
        }
        let mut answer = Vec::new();
        let decoded = decoder.decode(&mut bytes[..read], |message| {
            if let Message::Ping(payload) = message {
                pinged.push(began.elapsed().as_secs());
                put_frame(&mut answer, Opcode::Pong, payload, Some(MASK));
            }
        });
        decoded.expect("the relay keeps to the protocol");
        if manners == Manners::Answers {
            client.write_all(&answer).await.expect("the relay reads");
        }
    }
    (pinged, None)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_cut_off() {
    let (pinged, cut_off) = LocalSet::new().run_until(serve(Manners::Silent, 10)).await;
    assert_eq!(pinged, [30, 60, 90]);
    assert_eq!(cut_off, Some(100));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays() {
    let (pinged, cut_off) = LocalSet::new().run_until(serve(Manners::Answers, 120)).await;
    assert_eq!(cut_off, None);
    assert_eq!(pinged.len(), 120);
    assert!(pinged.windows(2).all(|pair| (30..=31).contains(&(pair[1] - pair[0]))), "{pinged:?}");
}
