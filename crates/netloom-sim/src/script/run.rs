//! Runs scripts: owns a machine with one guest, the clock, and what left and was told that no line has claimed yet.

use core::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::collections::{BTreeMap, VecDeque};

use netloom_core::{Duration, Event, FlowId, Instant, Lan, PortId, Protocol};

use super::conversation::Conversation;
use super::setting;
use super::wire::{Clocks, Origins, Sent, frame, stream};
use super::{Act, Call, Check, FIRST, Icmp, Pair, Pattern, Script, Step, Told};
use crate::app::Role;
use crate::packet::{ETHERNET_BYTES, Packet, flag, icmp, read};
use crate::world::{GATEWAY, guest_address};

/// Initial sequence numbers that a script is run at: far from any boundary, with each boundary inside the first segments, and on it.
const ORIGINS: [Origins; 5] = [
    Origins { ours: 100_000, theirs: 300_000 },
    Origins { ours: u32::MAX - 1500, theirs: u32::MAX - 2500 },
    Origins { ours: 0x7fff_ffff - 2500, theirs: 0x7fff_ffff - 1500 },
    Origins { ours: u32::MAX, theirs: 0x7fff_ffff },
    Origins { ours: 0, theirs: u32::MAX - 700 },
];
/// Frames at one instant that no script expects: a loop.
const MOST_AT_ONCE: usize = 10_000;
/// Before this nothing is measured: the machine's clock starts later, where its initial sequence number is the wanted one.
const CALIBRATION: Instant = Instant::from_us(1_000_000);

/// Runs a script at several initial sequence numbers.
///
/// # Errors
/// What the first line that does not hold expected, what there was, and everything that led to it.
pub fn run(script: &Script) -> Result<(), String> {
    let far = script.steps.iter().any(|step| matches!(step.act, Act::Call(Call::Carry(_))));
    let origins = if far { &ORIGINS[..1] } else { &ORIGINS[..] };
    origins.iter().try_for_each(|origins| {
        let mut stage = Stage::new(script, *origins)?;
        for step in &script.steps {
            stage.step(step).map_err(|what| stage.story(script, step, &what))?;
        }
        let end = Step { line: 0, text: "the end".into(), delay_us: 0, act: Act::Pass };
        stage.step(&end).map_err(|what| stage.story(script, &end, &what))
    })
}

/// What left: a segment of a connection, or an error about one.
enum Out {
    Tcp(Pair, Sent),
    Icmp(Icmp),
}

impl core::fmt::Display for Out {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Tcp(pair, sent) if *pair == FIRST => write!(f, "{sent}"),
            Self::Tcp(pair, sent) => write!(f, "{sent} to {} from {}", pair.guest_port, pair.target),
            Self::Icmp(icmp) => write!(f, "{icmp:?}"),
        }
    }
}

/// A machine with one guest.
pub(super) struct Stage {
    pub(super) lan: Lan,
    pub(super) port: PortId,
    pub(super) now: Instant,
    began: Instant,
    origins: Origins,
    /// The connection that the script opens first, and what its initial sequence number would be at time zero. Others' are learnt.
    calibrated: Option<Pair>,
    isn_base: u32,
    pub(super) current: Pair,
    conversations: BTreeMap<Pair, Conversation>,
    flows: BTreeMap<u64, Pair>,
    hold: bool,
    checksums: bool,
    left: VecDeque<(Instant, Out)>,
    told: VecDeque<(Instant, Pair, Told)>,
    log: Vec<String>,
}

impl Stage {
    /// A machine whose clock stands where its first connection gets the initial sequence number wanted (RFC 6528: it moves with time).
    fn new(script: &Script, origins: Origins) -> Result<Self, String> {
        let (lan, port) = setting::lan(script, CALIBRATION)?;
        let mut stage = Self {
            lan,
            port,
            now: CALIBRATION,
            began: CALIBRATION,
            origins,
            calibrated: None,
            isn_base: 0,
            current: FIRST,
            conversations: BTreeMap::new(),
            flows: BTreeMap::new(),
            hold: false,
            checksums: !script
                .steps
                .iter()
                .any(|step| matches!(&step.act, Act::Set(name, 1) if name == "trusted")),
            left: VecDeque::new(),
            told: VecDeque::new(),
            log: Vec::new(),
        };
        let first = script.steps.iter().find_map(|step| match &step.act {
            Act::Call(call @ Call::Connect(_)) => Some(Some(*call)),
            Act::Arrive(_) => Some(None),
            _ => None,
        });
        let calibrated = if let Some(Some(call)) = first {
            stage.call(call)?;
            stage.current
        } else {
            let syn = super::parse("==\n+0 < S 0:0(0)\n");
            stage.step(&syn[0].steps[0])?;
            stage.told.clear();
            stage.call(Call::Accept)?;
            FIRST
        };
        stage.drain()?;
        let isn = match stage.left.pop_front() {
            Some((_, Out::Tcp(_, sent))) => sent.seq,
            _ => return Err("no connection can be opened at all".into()),
        };
        let base = isn.wrapping_sub(ticks(CALIBRATION));
        let wait = u64::from(origins.ours.wrapping_sub(base)) + (1 << 32);
        let now = Instant::from_us(4 * wait);
        let (lan, port) = setting::lan(script, now)?;
        let mut stage = Self {
            lan,
            port,
            now,
            began: now,
            calibrated: Some(calibrated),
            isn_base: base,
            current: FIRST,
            conversations: BTreeMap::new(),
            flows: BTreeMap::new(),
            log: Vec::new(),
            ..stage
        };
        stage.told.clear();
        stage.drain()?;
        stage.log.clear();
        Ok(stage)
    }

    fn story(&self, script: &Script, step: &Step, what: &str) -> String {
        let Origins { ours, theirs } = self.origins;
        let log = self.log.join("\n");
        let (line, text) = (step.line, &step.text);
        format!("{}\nline {line}: {text}\n  {what}\nat ISN {ours} and {theirs}, after\n{log}", script.title)
    }

    fn note(&mut self, what: &str) {
        self.log.push(format!("  {} {what}", self.now));
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.advance(self.now + Duration::from_micros(step.delay_us))?;
        match &step.act {
            Act::Leave(pattern) => return self.expect_segment(pattern),
            Act::LeaveIcmp(icmp) => return self.expect_icmp(*icmp),
            Act::Tell(told) => return self.expect_told(*told),
            Act::Check(check) => return self.check(check),
            Act::With(pair) => {
                self.current = *pair;
                return Ok(());
            }
            Act::WithPort(port) => {
                let known = self.conversations.keys().find(|pair| pair.guest_port == *port);
                self.current = *known.ok_or("no connection has this port")?;
                return Ok(());
            }
            _ => {}
        }
        if let Some((at, out)) = self.left.front() {
            return Err(format!("at {at} this left, which no line expects: {out}"));
        }
        // Bytes that can be taken are checked by `take` and `readable`.
        self.told.retain(|(_, _, told)| !matches!(told, Told::Data(_)));
        if let Some((at, pair, told)) = self.told.front() {
            return Err(format!("at {at} this was told, which no line expects: {told:?} of {pair:?}"));
        }
        self.note(&step.text);
        match &step.act {
            Act::Arrive(pattern) => self.arrive(pattern),
            Act::ArriveIcmp(icmp) => self.arrive_icmp(*icmp)?,
            Act::Call(call) => self.call(*call)?,
            _ => {}
        }
        self.drain()
    }

    /// Lets time pass, and everything happen that is due until then.
    fn advance(&mut self, to: Instant) -> Result<(), String> {
        while let Some((at, reason)) = self.lan.poll_timeout().filter(|(at, _)| *at <= to) {
            self.now = self.now.max(at);
            self.lan.handle_timeout(self.now);
            self.drain()?;
            let next = self.lan.poll_timeout();
            if next.is_some_and(|(at, _)| at <= self.now) {
                if self.hold {
                    break;
                }
                return Err(format!("at {}: the deadline of {reason} does not move", self.now));
            }
        }
        self.now = to;
        // Early, it must do nothing.
        self.lan.handle_timeout(to);
        self.drain()
    }

    fn drain(&mut self) -> Result<(), String> {
        while let Some(event) = self.lan.poll_event() {
            self.event(event)?;
        }
        if self.hold {
            return Ok(());
        }
        let mut frames = Vec::new();
        while let Some(port) = self.lan.poll_port() {
            while let Some(frame) = self.lan.poll_frame(self.now, port) {
                frames.push(frame.to_vec());
                if frames.len() > MOST_AT_ONCE {
                    return Err("frames leave without end".into());
                }
            }
        }
        frames.iter().try_for_each(|frame| self.leave(frame))
    }

    /// The initial sequence number that we would choose now, or 0 until the first SYN tells it.
    fn own_isn(&self, pair: Pair) -> u32 {
        if self.calibrated == Some(pair) { self.isn_base.wrapping_add(ticks(self.now)) } else { 0 }
    }

    pub(super) fn conversation(&mut self, pair: Pair) -> &mut Conversation {
        let origins = Origins { ours: self.own_isn(pair), theirs: self.origins.theirs };
        self.conversations.entry(pair).or_insert_with(|| Conversation::new(origins))
    }

    /// The timestamps of a connection. The guest's clock begins where its sequence numbers do, so that it too crosses 2³¹ and 2³².
    fn clocks(&mut self, pair: Pair) -> Clocks {
        let theirs = self.origins.theirs;
        let theirs_now = theirs.wrapping_add(((self.now.as_us() - self.began.as_us()) / 1000) as u32);
        Clocks { theirs, theirs_now, ..self.conversation(pair).clocks }
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        let (id, told) = match event {
            Event::Open { id, protocol, source, destination, guest } => {
                let (SocketAddr::V4(target), Protocol::Tcp) = (destination, protocol) else {
                    return Err(format!("a flow to {destination}"));
                };
                if source.ip() != IpAddr::V4(guest_address(0)) || guest.port != self.port {
                    return Err(format!("a flow of {source}"));
                }
                self.begin(Pair { guest_port: source.port(), target }, id);
                (id, Told::Open)
            }
            Event::Established { id } => (id, Told::Established),
            Event::Data { id, bytes } => (id, Told::Data(bytes)),
            Event::Fin { id } => (id, Told::Fin),
            Event::Writable { id } => (id, Told::Writable),
            Event::Reset { id, why } => (id, Told::Reset(why)),
            Event::Closed { id } => (id, Told::Closed),
        };
        let Some(pair) = self.flows.get(&id.to_bits()).copied() else {
            return Err(format!("{told:?} of a flow that nobody opened"));
        };
        self.note(&format!("told {told:?}"));
        if let Told::Data(n) = told {
            self.conversation(pair).data_told += n as u64;
        }
        if matches!(told, Told::Reset(_) | Told::Closed) {
            self.flows.remove(&id.to_bits());
        }
        self.told.push_back((self.now, pair, told));
        Ok(())
    }

    /// A flow begins, perhaps with the addresses of one that is over.
    fn begin(&mut self, pair: Pair, flow: FlowId) {
        let ours = self.own_isn(pair);
        let conversation = self.conversation(pair);
        *conversation = Conversation {
            flow: Some(flow),
            guest_syn: conversation.guest_syn,
            guest_scales: conversation.guest_scales,
            arrived: conversation.arrived.clone(),
            ..Conversation::new(Origins { ours, theirs: conversation.guest_syn })
        };
        self.flows.insert(flow.to_bits(), pair);
    }

    /// Notes a frame that leaves, and checks what holds of every one.
    fn leave(&mut self, bytes: &[u8]) -> Result<(), String> {
        let segment = match read(bytes, self.checksums)? {
            Packet::Tcp(segment) => segment,
            Packet::Icmp(_, _, message) => {
                let quoted = &message[8..];
                let about = &self.conversation(self.current).arrived;
                if quoted.is_empty() || !about.starts_with(quoted) {
                    return Err("an ICMP error quotes something else".into());
                }
                let icmp = Icmp { kind: message[0], code: message[1], rest: 0, about: None };
                self.left.push_back((self.now, Out::Icmp(icmp)));
                return Ok(());
            }
            Packet::Arp(..) => return Ok(()),
            other => return Err(format!("this left: {other:?}")),
        };
        let (SocketAddr::V4(target), true) = (segment.source, segment.destination.ip() == guest_address(0))
        else {
            return Err(format!("a segment from {} to {}", segment.source, segment.destination));
        };
        let pair = Pair { guest_port: segment.destination.port(), target };
        let (learnt, seq, syn) = (self.calibrated != Some(pair), segment.seq, segment.has(flag::SYN));
        let conversation = self.conversation(pair);
        if syn && learnt && conversation.origins.ours == 0 {
            conversation.origins.ours = seq;
        }
        let header = usize::from(bytes[ETHERNET_BYTES] & 15) * 4;
        let sent = Sent::read(&bytes[ETHERNET_BYTES + header..], conversation.origins)?;
        conversation.last = bytes[ETHERNET_BYTES..].to_vec();
        let wrong = conversation.judge(&sent);
        let out = Out::Tcp(pair, sent);
        self.note(&format!("left {out}"));
        self.left.push_back((self.now, out));
        wrong.map_or(Ok(()), Err)
    }

    fn arrive(&mut self, pattern: &Pattern) {
        let pair = self.current;
        let clocks = self.clocks(pair);
        let conversation = self.conversation(pair);
        let bytes = pattern.write(pair, conversation.origins, clocks);
        if pattern.flags & flag::SYN > 0 {
            conversation.guest_syn = pattern.seq.on_wire(conversation.origins.theirs);
            if conversation.edge == 0 {
                conversation.guest_scales = pattern.scales();
            }
        }
        conversation.arrived = bytes[ETHERNET_BYTES..].to_vec();
        self.lan.handle_frame(self.now, self.port, &bytes);
    }

    fn arrive_icmp(&mut self, error: Icmp) -> Result<(), String> {
        let conversation = self.conversation(self.current);
        let last = conversation.last.get(..28).ok_or("nothing has left that an error could be about")?;
        let mut quoted = last.to_vec();
        if let Some(about) = error.about {
            quoted[24..28].copy_from_slice(&about.on_wire(conversation.origins.ours).to_be_bytes());
        }
        let message = icmp(error.kind, error.code, error.rest, &quoted);
        self.lan.handle_frame(self.now, self.port, &frame(SocketAddrV4::new(GATEWAY, 0), 1, &message));
        Ok(())
    }

    fn call(&mut self, call: Call) -> Result<(), String> {
        let now = self.now;
        match call {
            Call::Connect(port) => return self.connect(port),
            Call::Hold | Call::Drain => {
                self.hold = matches!(call, Call::Hold);
                return Ok(());
            }
            Call::Restored => {
                self.lan.path_restored(now, self.port);
                return Ok(());
            }
            _ => {}
        }
        let Some(flow) = self.conversation(self.current).flow else { return Err("there is no flow".into()) };
        let pair = self.current;
        match call {
            Call::Accept => self.lan.accept(now, flow),
            Call::AcceptEarly => self.lan.accept_early(now, flow),
            Call::Refuse(why) => self.lan.refuse(now, flow, why),
            Call::Write(n, want) => {
                let from = 1 + self.conversation(pair).written as i64;
                let taken = self.lan.write(now, flow, &stream(Role::Server, from, n));
                self.conversation(pair).written += taken as u64;
                if taken != want {
                    return Err(format!("write took {taken} bytes"));
                }
            }
            Call::Take(n) => {
                let got: Vec<u8> = self.lan.peek(flow).concat().into_iter().take(n).collect();
                let from = self.conversation(pair).taken;
                if got != stream(Role::Client, 1 + from as i64, n) {
                    return Err(format!("of the bytes from {from} on {} are there, or others", got.len()));
                }
                self.lan.take(now, flow, n);
                self.conversation(pair).taken += n as u64;
            }
            Call::Fin => self.lan.fin(now, flow),
            Call::Close => self.lan.close(now, flow),
            Call::Reset => self.lan.reset(flow),
            Call::Carry(bytes) => return self.carry(flow, bytes),
            Call::Connect(_) | Call::Hold | Call::Drain | Call::Restored => {}
        }
        Ok(())
    }

    fn connect(&mut self, port: u16) -> Result<(), String> {
        let target = SocketAddr::V4(SocketAddrV4::new(guest_address(0), port));
        let flow = self.lan.connect(self.now, target).map_err(|error| error.to_string())?;
        let Some((_, _, SocketAddr::V4(own))) = self.lan.describe(flow) else {
            return Err("the flow does not say what it is".into());
        };
        let pair = Pair { guest_port: port, target: own };
        self.current = pair;
        let origins = Origins { ours: self.own_isn(pair), theirs: self.origins.theirs };
        let conversation = Conversation { flow: Some(flow), ..Conversation::new(origins) };
        self.conversations.insert(pair, conversation);
        self.flows.insert(flow.to_bits(), pair);
        Ok(())
    }

    fn expect_segment(&mut self, pattern: &Pattern) -> Result<(), String> {
        let (origins, clocks) = (self.conversation(self.current).origins, self.clocks(self.current));
        match self.left.pop_front() {
            None => {
                Err(format!("nothing left at {}; the deadline is {:?}", self.now, self.lan.poll_timeout()))
            }
            Some((at, out)) if at != self.now => {
                Err(format!("expected at {}, left at {at}: {out}", self.now))
            }
            Some((_, Out::Tcp(pair, sent))) if pair == self.current => {
                match pattern.differs(&sent, origins, clocks) {
                    Some(what) => Err(format!("another {what}: {sent}")),
                    None => Ok(()),
                }
            }
            Some((_, out)) => Err(format!("something else left: {out}")),
        }
    }

    fn expect_icmp(&mut self, want: Icmp) -> Result<(), String> {
        match self.left.pop_front() {
            Some((at, Out::Icmp(icmp))) if icmp == want && at == self.now => Ok(()),
            Some((at, out)) => Err(format!("left at {at}: {out}")),
            None => Err("nothing left".into()),
        }
    }

    fn expect_told(&mut self, want: Told) -> Result<(), String> {
        if !matches!(want, Told::Data(_)) {
            self.told.retain(|(_, _, told)| !matches!(told, Told::Data(_)));
        }
        match self.told.pop_front() {
            Some((at, pair, told)) if told == want && at == self.now && pair == self.current => Ok(()),
            Some((at, pair, told)) => Err(format!("told at {at} of {pair:?}: {told:?}")),
            None => Err(format!("nothing was told at {}", self.now)),
        }
    }

    fn check(&mut self, check: &Check) -> Result<(), String> {
        let same = |want: u64, is: u64| if want == is { Ok(()) } else { Err(format!("it is {is}")) };
        let conversation = self.conversation(self.current).clone();
        match check {
            Check::Room(want) => {
                let room = conversation.flow.map_or(0, |flow| self.lan.room(flow));
                same(*want as u64, room as u64)
            }
            Check::Readable(want) => {
                let peek = conversation.flow.map_or([&[][..]; 2], |flow| self.lan.peek(flow));
                let readable = peek.iter().map(|part| part.len() as u64).sum();
                if conversation.data_told != conversation.taken + readable {
                    let Conversation { data_told, taken, .. } = conversation;
                    return Err(format!("{data_told} bytes were told, {taken} taken, {readable} are there"));
                }
                same(*want as u64, readable)
            }
            Check::Flows(want) => same(*want as u64, self.lan.flows() as u64),
            Check::Dropped(name, want) => {
                let found = self.lan.drops().nonzero().find(|(drop, _)| drop.name() == name);
                same(*want, found.map_or(0, |(_, n)| n))
            }
        }
    }
}

/// How far the clock of initial sequence numbers has gone: 4 µs a step (RFC 6528 3).
const fn ticks(now: Instant) -> u32 {
    (now.as_us() / 4) as u32
}
