//! Reads scripts.

use netloom_core::ResetReason;
use netloom_core::tcp::{Event, State};

use super::{Act, Call, Check, Opt, Pattern, Position, Script, Step};
use crate::packet::flag;

/// Reads the scripts of a file. Behind the time, a line has one of these:
///
/// - `< SEGMENT`, `> SEGMENT`: arrives, must leave. A segment is `FLAGS from:to(length) [ack n] [win n] [urg n] [garbage] [<options>]`
///   with the flags `SFRPUEC.`, or `-` for none; options are `mss n`, `wscale n`, `sackOK`, `sack a:b`, `nop`, `eol`, `hex 0102`, or
///   `*` for any. Without `win`, 65535 arrives and any may leave.
/// - `! established | data n | fin | writable | reset REASON | closed`: must be told. `data` need not be expected.
/// - `active`, `accept`, `write n [takes m]`, `take n`, `fin`, `close`, `abort`, `limit n`, `mtu n`, `unreachable hard|soft`: is called.
/// - `hold`, `drain`: what leaves is not asked for; is asked for again.
/// - `state S`, `room n`, `held n`, `readable n`, `offered n`, `asleep`: must be so.
/// - `pass`: nothing happens.
/// - `set NAME n`: before the connection; the names are those of [`Config`](netloom_core::tcp::Config), `mss` for both, durations in ms.
/// - `established [mss n] [win n] [wscale n] [sackOK]`: a peer connects and we accept, in no time.
///
/// # Panics
/// With the line, if it is not one of these.
#[must_use]
pub fn parse(text: &str) -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split('#').next().unwrap_or_default().trim();
        if code.is_empty() {
            continue;
        }
        if let Some(title) = code.strip_prefix("==") {
            scripts.push(Script { title: title.trim().to_owned(), steps: Vec::new() });
            continue;
        }
        let script = scripts.last_mut().unwrap_or_else(|| panic!("line {}: no == before it", number + 1));
        if let Err(what) = read_line(code, number + 1, &mut script.steps) {
            panic!("line {}: {what}: {line}", number + 1);
        }
    }
    scripts
}

fn read_line(code: &str, line: usize, steps: &mut Vec<Step>) -> Result<(), String> {
    let (time, rest) = code.split_once(char::is_whitespace).ok_or("a line is a time and an act")?;
    let seconds = time.strip_prefix('+').ok_or("the time begins with +")?;
    let delay_us = (seconds.parse::<f64>().map_err(|_| "the time is in seconds")? * 1e6).round() as u64;
    let text = code.to_owned();
    let rest = rest.trim();
    if let Some(words) = rest.strip_prefix("established") {
        return establish(words, line, delay_us, steps);
    }
    steps.push(Step { line, text, delay_us, act: act(rest)? });
    Ok(())
}

/// The handshake that most scripts begin with.
fn establish(words: &str, line: usize, delay_us: u64, steps: &mut Vec<Step>) -> Result<(), String> {
    let mut words = words.split_whitespace();
    let (mut mss, mut window, mut more) = ("1000", "10000", String::new());
    while let Some(word) = words.next() {
        match word {
            "mss" => mss = words.next().ok_or("mss without a number")?,
            "win" => window = words.next().ok_or("win without a number")?,
            "wscale" => more += &format!(",wscale {}", words.next().ok_or("wscale without a number")?),
            "sackOK" => more += ",sackOK",
            _ => return Err(format!("{word} is no part of a handshake")),
        }
    }
    let lines = [
        format!("+{} < S 0:0(0) win {window} <mss {mss}{more}>", delay_us as f64 / 1e6),
        "+0 accept".to_owned(),
        "+0 > S. 0:0(0) ack 1 <*>".to_owned(),
        format!("+0 < . 1:1(0) ack 1 win {window}"),
        "+0 ! established".to_owned(),
    ];
    lines.iter().try_for_each(|code| read_line(code, line, steps))
}

fn act(rest: &str) -> Result<Act, String> {
    let (verb, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let tail = tail.trim();
    let number = || tail.parse::<usize>().map_err(|_| format!("{verb} needs a number"));
    let call = |call, n| Ok(Act::Call(call, n));
    match verb {
        "<" => Ok(Act::Arrive(segment(tail)?)),
        ">" => Ok(Act::Leave(segment(tail)?)),
        "!" => Ok(Act::Tell(event(tail)?)),
        "set" => {
            let (name, value) = tail.split_once(' ').ok_or("set needs a name and a number")?;
            Ok(Act::Set(name.to_owned(), value.trim().parse().map_err(|_| "set needs a number")?))
        }
        "pass" => Ok(Act::Pass),
        "active" => call(Call::Active, 0),
        "accept" => call(Call::Accept, 0),
        "fin" => call(Call::Fin, 0),
        "close" => call(Call::Close, 0),
        "abort" => call(Call::Abort, 0),
        "hold" => call(Call::Hold, 0),
        "drain" => call(Call::Drain, 0),
        "take" => call(Call::Take, number()?),
        "limit" => call(Call::Limit, number()?),
        "mtu" => call(Call::Mtu, number()?),
        "unreachable" => match tail {
            "hard" => call(Call::Unreachable, 1),
            "soft" => call(Call::Unreachable, 0),
            _ => Err("unreachable is hard or soft".into()),
        },
        "write" => match tail.split_once(" takes ") {
            None => call(Call::Write, number()?),
            Some((n, taken)) => {
                let read = |word: &str| word.trim().parse().map_err(|_| "write needs numbers".to_owned());
                call(Call::WriteSome(read(taken)?), read(n)?)
            }
        },
        "state" => Ok(Act::Check(Check::State(state(tail)?))),
        "room" => Ok(Act::Check(Check::Room(number()?))),
        "held" => Ok(Act::Check(Check::Held(number()?))),
        "readable" => Ok(Act::Check(Check::Readable(number()?))),
        "offered" => Ok(Act::Check(Check::Offered(number()?))),
        "asleep" => Ok(Act::Check(Check::Asleep)),
        _ => Err(format!("{verb} is nothing that a line can say")),
    }
}

fn event(tail: &str) -> Result<Event, String> {
    match tail.split_once(' ').unwrap_or((tail, "")) {
        ("established", "") => Ok(Event::Established),
        ("data", n) => Ok(Event::Data(n.trim().parse().map_err(|_| "data needs a number")?)),
        ("fin", "") => Ok(Event::Fin),
        ("writable", "") => Ok(Event::Writable),
        ("closed", "") => Ok(Event::Closed),
        ("reset", why) => match why.trim() {
            "Reset" => Ok(Event::Reset(ResetReason::Reset)),
            "Refused" => Ok(Event::Reset(ResetReason::Refused)),
            "Unreachable" => Ok(Event::Reset(ResetReason::Unreachable)),
            "Timeout" => Ok(Event::Reset(ResetReason::Timeout)),
            _ => Err(format!("{why} is no reason")),
        },
        _ => Err(format!("{tail} is no event")),
    }
}

fn state(name: &str) -> Result<State, String> {
    const STATES: [State; 11] = [
        State::SynHeld,
        State::SynSent,
        State::SynReceived,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
        State::TimeWait,
        State::Closed,
    ];
    let named = STATES.into_iter().find(|state| format!("{state:?}") == name);
    named.ok_or_else(|| format!("{name} is no state"))
}

fn segment(text: &str) -> Result<Pattern, String> {
    let (text, options) = match text.split_once('<') {
        None => (text, Some(Vec::new())),
        Some((text, rest)) => (text, options(rest.strip_suffix('>').ok_or("options end with >")?)?),
    };
    let mut words = text.split_whitespace();
    let flags = flags(words.next().ok_or("a segment has flags")?)?;
    let (seq, length) = sequence(words.next().ok_or("a segment has a sequence number")?)?;
    let mut pattern =
        Pattern { flags, seq, length, ack: None, window: None, urgent: 0, options, garbage: false };
    while let Some(word) = words.next() {
        if word == "garbage" {
            pattern.garbage = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
        let number = || value.parse::<u16>().map_err(|_| format!("{word} needs a number up to 65535"));
        match word {
            "ack" => pattern.ack = Some(position(value)?),
            "win" => pattern.window = Some(number()?),
            "urg" => pattern.urgent = number()?,
            _ => return Err(format!("{word} is no part of a segment")),
        }
    }
    Ok(pattern)
}

fn flags(word: &str) -> Result<u8, String> {
    let bit = |letter| match letter {
        'S' => Ok(flag::SYN),
        'F' => Ok(flag::FIN),
        'R' => Ok(flag::RST),
        'P' => Ok(flag::PSH),
        'U' => Ok(0x20),
        'E' => Ok(0x40),
        'C' => Ok(0x80),
        '.' => Ok(flag::ACK),
        '-' => Ok(0),
        _ => Err(format!("{letter} is no flag")),
    };
    word.chars().try_fold(0, |flags, letter| Ok(flags | bit(letter)?))
}

fn position(word: &str) -> Result<Position, String> {
    let what = || format!("{word} is no position");
    match word.strip_prefix('@') {
        Some(number) => number.parse().map(Position::Wire).map_err(|_| what()),
        None => word.parse().map(Position::Relative).map_err(|_| what()),
    }
}

fn sequence(word: &str) -> Result<(Position, usize), String> {
    let what = || format!("{word} is not of the form from:to(length)");
    let (range, length) = word.strip_suffix(')').and_then(|w| w.split_once('(')).ok_or_else(what)?;
    let length: usize = length.parse().map_err(|_| what())?;
    let Some((from, to)) = range.split_once(':') else {
        return Ok((position(range)?, length));
    };
    let (from, to) = (position(from)?, position(to)?);
    match (from, to) {
        (Position::Relative(a), Position::Relative(b)) if b == a + length as i64 => Ok((from, length)),
        _ => Err(what()),
    }
}

fn options(text: &str) -> Result<Option<Vec<Opt>>, String> {
    if text.trim() == "*" {
        return Ok(None);
    }
    let mut list = Vec::new();
    for option in text.split(',').map(str::trim).filter(|option| !option.is_empty()) {
        let mut words = option.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let mut value = || words.next().ok_or_else(|| format!("{kind} needs a value"));
        let what = |_| format!("{option} is no option");
        list.push(match kind {
            "mss" => Opt::Mss(value()?.parse().map_err(what)?),
            "wscale" => Opt::Scale(value()?.parse().map_err(what)?),
            "sackOK" => Opt::SackPermitted,
            "sack" => Opt::Sack(words.map(range).collect::<Result<_, _>>()?),
            "nop" => Opt::Raw(vec![1]),
            "eol" => Opt::Raw(vec![0]),
            "hex" => Opt::Raw(hex(value()?)?),
            _ => return Err(format!("{option} is no option")),
        });
    }
    Ok(Some(list))
}

fn range(word: &str) -> Result<(i64, i64), String> {
    let what = || format!("{word} is no range");
    let (from, to) = word.split_once(':').ok_or_else(what)?;
    Ok((from.parse().map_err(|_| what())?, to.parse().map_err(|_| what())?))
}

fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..digits.len())
        .step_by(2)
        .map(|at| byte(at).ok_or_else(|| format!("{digits} is not hexadecimal")))
        .collect()
}
