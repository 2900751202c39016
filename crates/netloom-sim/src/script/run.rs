//! Runs scripts: owns one connection, the clock, and what left and was told that no line has claimed yet.

use std::collections::VecDeque;

use netloom_core::tcp::{Config, Event, Flags, Segment, State, Tcb, Transmit, reset_for};
use netloom_core::{Duration, Instant};

use super::wire::{Origins, Sent, stream};
use super::{Act, Call, Check, Pattern, Script, Step};
use crate::app::Role;
use crate::packet::flag;

/// Initial sequence numbers that a script is run at: far from any boundary, with each boundary inside the first segments, and on it.
const ORIGINS: [Origins; 5] = [
    Origins { ours: 100_000, theirs: 300_000 },
    Origins { ours: u32::MAX - 1500, theirs: u32::MAX - 2500 },
    Origins { ours: 0x7fff_ffff - 2500, theirs: 0x7fff_ffff - 1500 },
    Origins { ours: u32::MAX, theirs: 0x7fff_ffff },
    Origins { ours: 0, theirs: u32::MAX - 700 },
];
/// Segments at one instant that no script expects: a loop.
const MOST_AT_ONCE: usize = 10_000;

/// Runs a script at several initial sequence numbers.
///
/// # Errors
/// What the first line that does not hold expected, what there was, and everything that led to it.
pub fn run(script: &Script) -> Result<(), String> {
    ORIGINS.iter().try_for_each(|origins| {
        let mut machine = Machine::new(*origins);
        for step in &script.steps {
            machine.step(step).map_err(|what| machine.story(script, step, &what))?;
        }
        let end = Step { line: 0, text: "the end".into(), delay_us: 0, act: Act::Pass };
        machine.step(&end).map_err(|what| machine.story(script, &end, &what))
    })
}

struct Machine {
    origins: Origins,
    opened: bool,
    config: Config,
    tcb: Option<Tcb>,
    now: Instant,
    hold: bool,
    sent: VecDeque<(Instant, Sent)>,
    told: VecDeque<(Instant, Event)>,
    data_told: u64,
    taken: u64,
    written: u64,
    /// The shift of our window fields, and the highest right edge they have told.
    scale: u8,
    edge: i64,
    log: Vec<String>,
}

impl Machine {
    fn new(origins: Origins) -> Self {
        let config = Config { max_payload: 1000, advertised_mss: 1000, ..Config::default() };
        Self {
            origins,
            opened: false,
            config,
            tcb: None,
            now: Instant::from_us(1_000_000),
            hold: false,
            sent: VecDeque::new(),
            told: VecDeque::new(),
            data_told: 0,
            taken: 0,
            written: 0,
            scale: 0,
            edge: 0,
            log: Vec::new(),
        }
    }

    fn story(&self, script: &Script, step: &Step, what: &str) -> String {
        let Origins { ours, theirs } = self.origins;
        let log = self.log.join("\n");
        let (line, text) = (step.line, &step.text);
        format!("{}\nline {line}: {text}\n  {what}\nat ISN {ours} and {theirs}, after\n{log}", script.title)
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.advance(self.now + Duration::from_micros(step.delay_us))?;
        match &step.act {
            Act::Leave(pattern) => return self.expect_segment(pattern),
            Act::Tell(event) => return self.expect_event(*event),
            Act::Check(check) => return self.check(*check),
            _ => {}
        }
        if let Some((at, sent)) = self.sent.front() {
            return Err(format!("at {at} this left, which no line expects: {sent}"));
        }
        // Bytes that can be taken are checked by `take` and `readable`.
        self.told.retain(|(_, event)| !matches!(event, Event::Data(_)));
        if let Some((at, event)) = self.told.front() {
            return Err(format!("at {at} this was told, which no line expects: {event:?}"));
        }
        self.log.push(format!("  {} {}", self.now, step.text));
        match &step.act {
            Act::Set(name, value) => self.set(name, *value)?,
            Act::Arrive(pattern) => self.arrive(pattern)?,
            Act::Call(call, n) => self.call(*call, *n)?,
            _ => {}
        }
        self.drain()
    }

    /// Lets time pass, and everything happen that is due until then.
    fn advance(&mut self, to: Instant) -> Result<(), String> {
        loop {
            let due = self.tcb.as_ref().and_then(Tcb::poll_timeout);
            let Some((at, reason)) = due.filter(|(at, _)| *at <= to) else { break };
            if at > self.now {
                self.now = at;
            }
            if let Some(tcb) = &mut self.tcb {
                tcb.handle_timeout(self.now);
            }
            self.drain()?;
            let next = self.tcb.as_ref().and_then(Tcb::poll_timeout);
            if next.is_some_and(|(at, _)| at <= self.now) && !self.hold {
                return Err(format!("at {}: the deadline of {reason} does not move", self.now));
            }
        }
        self.now = to;
        if let Some(tcb) = &mut self.tcb {
            // Early, it must do nothing.
            tcb.handle_timeout(to);
        }
        self.drain()
    }

    fn drain(&mut self) -> Result<(), String> {
        self.events();
        if self.hold {
            return Ok(());
        }
        for _ in 0..MOST_AT_ONCE {
            let Some(tcb) = &mut self.tcb else { return Ok(()) };
            let wants = tcb.wants_transmit(self.now);
            let Some(transmit) = tcb.poll_transmit(self.now, usize::MAX) else {
                self.events();
                return Ok(());
            };
            self.leave(&transmit)?;
            if !wants {
                return Err("a segment left that `wants_transmit` did not announce".into());
            }
        }
        Err("segments leave without end".into())
    }

    fn events(&mut self) {
        let Some(tcb) = &mut self.tcb else { return };
        while let Some(event) = tcb.poll_event() {
            if let Event::Data(n) = event {
                self.data_told += n as u64;
            }
            self.log.push(format!("  {} told {event:?}", self.now));
            self.told.push_back((self.now, event));
        }
        if tcb.is_closed() {
            self.tcb = None;
        }
    }

    /// Notes a segment that leaves, and checks what holds of every one.
    fn leave(&mut self, transmit: &Transmit) -> Result<(), String> {
        let mut bytes = vec![0; transmit.len()];
        match &self.tcb {
            Some(tcb) => tcb.emit(transmit, 81, 80, &mut bytes),
            None => transmit.emit_header(81, 80, &mut bytes),
        }
        let sent = Sent::read(&bytes, self.origins)?;
        self.log.push(format!("  {} left {sent}", self.now));
        if sent.payload != stream(Role::Server, sent.position(), sent.payload.len()) {
            return Err(format!("its bytes are not those of its position: {sent}"));
        }
        if sent.flags & (flag::RST | flag::ACK) == flag::ACK {
            let scale = if sent.flags & flag::SYN > 0 { 0 } else { self.scale };
            let edge = sent.acknowledges() + (i64::from(sent.window) << scale);
            if edge < self.edge {
                return Err(format!("the window's right edge moves back from {} to {edge}", self.edge));
            }
            self.edge = edge;
        }
        self.sent.push_back((self.now, sent));
        Ok(())
    }

    fn set(&mut self, name: &str, value: u64) -> Result<(), String> {
        let time = Duration::from_millis(value);
        let config = &mut self.config;
        match name {
            "mss" => (config.max_payload, config.advertised_mss) = (value as u16, value as u16),
            "max_payload" => config.max_payload = value as u16,
            "advertised_mss" => config.advertised_mss = value as u16,
            "receive_buffer_bytes" => config.receive_buffer_bytes = value as usize,
            "send_buffer_bytes" => config.send_buffer_bytes = value as usize,
            "nagle" => config.nagle = value > 0,
            "keepalive" => config.keepalive = Some(time),
            "rto_min" => config.rto_min = time,
            "give_up_after" => config.give_up_after = time,
            "time_wait" => config.time_wait = time,
            _ => return Err(format!("there is no setting {name}")),
        }
        Ok(())
    }

    /// As the machine does: a SYN opens a connection, or one in the place of another; what belongs to none is answered with RST.
    fn arrive(&mut self, pattern: &Pattern) -> Result<(), String> {
        let bytes = pattern.write(self.origins);
        let Some(segment) = Segment::parse(&bytes) else { return Err("a header that cannot be read".into()) };
        if self.tcb.as_ref().is_some_and(|tcb| tcb.time_wait_accepts(&segment)) {
            self.tcb = None;
        }
        let Some(tcb) = &mut self.tcb else {
            if !segment.opens() {
                return reset_for(&segment).map_or(Ok(()), |reset| self.leave(&reset));
            }
            // A later connection has an initial sequence number of its own.
            let ours = self.origins.ours.wrapping_add(0x1000_0000 * u32::from(self.opened));
            self.origins = Origins { ours, theirs: segment.seq.0 };
            self.begin(Tcb::passive(self.now, &self.config, &segment, self.origins.ours));
            if segment.options.window_scale.is_none() {
                self.scale = 0;
            }
            return Ok(());
        };
        let opened_by_us = tcb.state() == State::SynSent && segment.flags.contains(Flags::SYN);
        if opened_by_us && segment.options.window_scale.is_none() {
            self.scale = 0;
        }
        if let Some(reply) = tcb.handle_segment(self.now, &segment) {
            self.leave(&reply)?;
        }
        Ok(())
    }

    fn begin(&mut self, tcb: Tcb) {
        self.tcb = Some(tcb);
        self.opened = true;
        (self.data_told, self.taken, self.written, self.edge) = (0, 0, 0, 0);
        self.scale = (0..14).find(|s| self.config.receive_buffer_bytes >> s <= 65_535).unwrap_or(14);
    }

    fn call(&mut self, call: Call, n: usize) -> Result<(), String> {
        let now = self.now;
        if matches!(call, Call::Active) {
            self.begin(Tcb::active(now, &self.config, self.origins.ours));
            return Ok(());
        }
        let Some(tcb) = &mut self.tcb else { return Err("there is no connection".into()) };
        match call {
            Call::Active => {}
            Call::Accept => tcb.accept(now),
            Call::Write | Call::WriteSome(_) => {
                let taken = tcb.write(now, &stream(Role::Server, 1 + self.written as i64, n));
                let want = if let Call::WriteSome(want) = call { want } else { n };
                self.written += taken as u64;
                if taken != want {
                    return Err(format!("write took {taken} bytes"));
                }
            }
            Call::Take => {
                let got: Vec<u8> = tcb.peek().concat().into_iter().take(n).collect();
                if got != stream(Role::Client, 1 + self.taken as i64, n) {
                    return Err(format!("of the bytes from {} on {} are there, or others", self.taken, got.len()));
                }
                tcb.take(now, n);
                self.taken += n as u64;
            }
            Call::Fin => tcb.fin(now),
            Call::Close => tcb.close(now),
            Call::Abort => {
                if let Some(reset) = tcb.abort() {
                    self.leave(&reset)?;
                }
            }
            Call::Limit => tcb.set_receive_limit(n),
            Call::Mtu => tcb.handle_mtu(n as u16),
            Call::Unreachable => tcb.handle_unreachable(now, n > 0),
            Call::Hold => self.hold = true,
            Call::Drain => self.hold = false,
        }
        Ok(())
    }

    fn expect_segment(&mut self, pattern: &Pattern) -> Result<(), String> {
        let Some((at, sent)) = self.sent.pop_front() else {
            let next = self.tcb.as_ref().map(Tcb::poll_timeout);
            return Err(format!("nothing left at {}; state and deadline {:?} {next:?}", self.now, self.state()));
        };
        if at != self.now {
            return Err(format!("expected at {}, left at {at}: {sent}", self.now));
        }
        match pattern.differs(&sent, self.origins) {
            Some(what) => Err(format!("another {what}: {sent}")),
            None => Ok(()),
        }
    }

    fn expect_event(&mut self, event: Event) -> Result<(), String> {
        if !matches!(event, Event::Data(_)) {
            self.told.retain(|(_, event)| !matches!(event, Event::Data(_)));
        }
        match self.told.pop_front() {
            Some((at, told)) if told == event && at == self.now => Ok(()),
            Some((at, told)) => Err(format!("told at {at}: {told:?}")),
            None => Err(format!("nothing was told at {}", self.now)),
        }
    }

    fn state(&self) -> State {
        self.tcb.as_ref().map_or(State::Closed, Tcb::state)
    }

    fn check(&self, check: Check) -> Result<(), String> {
        let number = |of: fn(&Tcb) -> usize| self.tcb.as_ref().map_or(0, of);
        let same = |want, is| if want == is { Ok(()) } else { Err(format!("it is {is}")) };
        match check {
            Check::State(want) if want == self.state() => Ok(()),
            Check::State(_) => Err(format!("it is {:?}", self.state())),
            Check::Room(want) => same(want, number(Tcb::room)),
            Check::Held(want) => same(want, number(Tcb::received_bytes_held)),
            Check::Offered(want) => same(want, number(Tcb::offered_bytes)),
            Check::Readable(want) => {
                let readable = self.tcb.as_ref().map_or(0, |tcb| tcb.peek().iter().map(|p| p.len()).sum());
                if self.data_told != self.taken + readable as u64 {
                    return Err(format!("{} bytes were told, {} taken", self.data_told, self.taken));
                }
                same(want, readable)
            }
            Check::Asleep => match self.tcb.as_ref().and_then(Tcb::poll_timeout) {
                None => Ok(()),
                Some((at, reason)) => Err(format!("at {at} it wakes for {reason}")),
            },
        }
    }
}
