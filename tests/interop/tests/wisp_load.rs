//! Wisp under load: a thousand clients with ten streams each and two hundred guests on the LAN beside them; targets slower than their client.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::thread;
use std::time::{Duration, Instant};

use netloom_interop::client::Client as Guest;
use netloom_interop::frame::{self, BROADCAST, Mac, mac};
use netloom_interop::lab::sized;
use netloom_interop::wisp::client::Client;
use netloom_interop::wisp::stage::{PATH, Stage};
use netloom_interop::wisp::target::Behaviour;
use netloom_interop::wisp::upload::upload;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CLIENTS: usize = 1000;
const STREAMS: usize = 10;
const GUESTS: usize = 200;
/// Clients whose streams are filled without end, beside those that wait for answers.
const GREEDY: usize = 5;
const MESSAGE: [u8; 64] = [0x5a; 64];
const PATIENCE: Duration = Duration::from_secs(120);
const KIB: u64 = 1024;

/// Streams that talk to an echo, each one message at a time.
struct Crowd {
    epoll: rustix::fd::OwnedFd,
    clients: Vec<Client>,
    /// Rounds that each stream of each client has begun.
    rounds: Vec<[u64; STREAMS]>,
}

impl Crowd {
    fn new() -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        Self { epoll, clients: Vec::new(), rounds: Vec::new() }
    }

    fn add(&mut self, mut client: Client, echo: u16) {
        let at = self.clients.len() as u64;
        epoll::add(&self.epoll, &client, EventData::new_u64(at), EventFlags::IN).unwrap();
        for _ in 0..STREAMS {
            let stream = client.open(echo);
            client.send(stream, &MESSAGE);
        }
        // Little enough for an empty socket.
        assert!(client.write(false).unwrap());
        self.clients.push(client);
        self.rounds.push([1; STREAMS]);
    }

    /// Until every stream has heard its answer `rounds` times; who has is asked no more.
    fn talk(&mut self, rounds: u64) {
        let deadline = Instant::now() + PATIENCE;
        for (client, begun) in self.clients.iter_mut().zip(&mut self.rounds) {
            go_on(client, begun, rounds);
        }
        let mut events = Vec::<Event>::with_capacity(256);
        while !self.rounds.iter().zip(&self.clients).all(|(_, client)| has_heard(client, rounds)) {
            assert!(Instant::now() < deadline, "starved: {:?}", self.starved(rounds));
            events.clear();
            let some = Duration::from_secs(1).try_into().unwrap();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&some)).unwrap();
            for event in &events {
                let at = event.data.u64() as usize;
                self.clients[at].read().unwrap();
                go_on(&mut self.clients[at], &mut self.rounds[at], rounds);
            }
        }
    }

    /// Clients that have not heard every answer, and how many bytes their streams did.
    fn starved(&self, rounds: u64) -> Vec<(usize, Vec<u64>)> {
        let behind = self.clients.iter().enumerate().filter(|(_, client)| !has_heard(client, rounds));
        behind
            .map(|(at, client)| (at, client.streams().iter().map(|stream| stream.received).collect()))
            .collect()
    }
}

fn has_heard(client: &Client, rounds: u64) -> bool {
    client.streams().iter().all(|stream| stream.received >= rounds * MESSAGE.len() as u64)
}

fn go_on(client: &mut Client, begun: &mut [u64; STREAMS], rounds: u64) {
    for (stream, begun) in begun.iter_mut().enumerate() {
        assert_eq!(client.streams()[stream].closed, None);
        if client.streams()[stream].received == *begun * MESSAGE.len() as u64 && *begun < rounds {
            *begun += 1;
            client.send(stream, &MESSAGE);
        }
    }
    assert!(client.write(false).unwrap());
}

/// Every guest's frame to its neighbour arrives.
fn pass_around(guests: &mut [Guest]) {
    let (first, rest) = guests.split_first_mut().unwrap();
    for (number, guest) in rest.iter_mut().enumerate() {
        let own = mac(number as u32 + 1);
        first.send(&frame::ethernet(own, mac(0), 0x88b5, &[7; 100])).unwrap();
        guest.expect(PATIENCE, |frame| (frame[6..12] == mac(0)).then_some(())).unwrap();
        guest.send(&frame::ethernet(mac(0), own, 0x88b5, &[8; 100])).unwrap();
        first.expect(PATIENCE, |frame| (frame[6..12] == own).then_some(())).unwrap();
    }
}

fn introduce(guest: &mut Guest, own: Mac) {
    guest.send(&frame::ethernet(BROADCAST, own, 0x88b5, &[0; 46])).unwrap();
}

#[test]
fn a_thousand_clients_and_two_hundred_guests_are_all_served() {
    // This process has the other ends.
    let most = getrlimit(Resource::Nofile).maximum;
    assert!(
        most.is_none_or(|most| most >= 12_000),
        "too few open files are allowed: raise `ulimit -Hn` to 12000"
    );
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let mut stage = Stage::new(&[]).unwrap();
    stage.serves().unwrap();
    let relay = &stage.relay;
    let (memory_before, files_before) = (relay.resident_bytes().unwrap(), relay.open_files().unwrap());
    let echo = stage.targets.port(Behaviour::Echo);

    let mut guests: Vec<Guest> =
        (0..GUESTS).map(|_| Guest::connect(&stage.namespace, relay.address(), "/").unwrap()).collect();
    for (number, guest) in guests.iter_mut().enumerate() {
        introduce(guest, mac(number as u32));
    }
    let mut crowd = Crowd::new();
    for _ in 0..CLIENTS {
        crowd.add(stage.join().unwrap(), echo);
    }
    crowd.talk(1);

    let files = relay.open_files().unwrap();
    let expected = files_before + CLIENTS * (STREAMS + 1) + GUESTS;
    assert!(files.abs_diff(expected) <= 16, "{files} descriptors are open, not {expected}");
    let grown = stage.grown_bytes(memory_before).unwrap();
    let streams = (CLIENTS * STREAMS) as u64;
    let most = streams * 8 * KIB + (CLIENTS + GUESTS) as u64 * 32 * KIB;
    println!("{} KiB for {streams} streams, {CLIENTS} clients and {GUESTS} guests", grown / KIB);
    assert!(grown < most, "{grown} bytes, more than {most}");

    // All at once, beside a few that take what they can get.
    let mut greedy: Vec<Client> = (0..GREEDY).map(|_| stage.join().unwrap()).collect();
    let source = stage.targets.port(Behaviour::Source);
    for client in &mut greedy {
        client.open(source);
        client.write(false).unwrap();
    }
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let eating = thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            for client in &mut greedy {
                client.read().unwrap();
            }
        }
        greedy.iter().map(Client::received_bytes).collect::<Vec<_>>()
    });
    let passing = thread::spawn(move || {
        pass_around(&mut guests);
        guests
    });
    crowd.talk(sized(3, 20));
    let guests = passing.join().unwrap();
    drop(stop);
    let eaten = eating.join().unwrap();
    assert!(eaten.iter().all(|bytes| *bytes > 0), "{eaten:?}");

    drop((crowd, guests));
    stage.wait_for_open_files(files_before).unwrap();
    stage.serves().unwrap();
}

/// epoxy loses bytes here: credit is set, not added to, so that a client may send twice as much as a server thinks.
#[test]
fn a_slow_target_gets_all_that_was_sent() {
    let stage = Stage::new(&[]).unwrap();
    let length = sized(2 << 20, 16 << 20);
    for packet_bytes in [1460, 16 * 1024, 60_000] {
        let arrived = upload((stage.relay.address(), PATH), 4, length, packet_bytes).unwrap();
        assert_eq!(arrived, 1.0, "part that arrived of packets of {packet_bytes} bytes");
    }
}
