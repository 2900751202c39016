//! Reads scripts.

use netloom_core::{Refusal, ResetReason};

use super::{Act, Call, Check, Icmp, Opt, Pair, Pattern, Position, Script, Step, Told};
use crate::packet::flag;

/// Reads the scripts of a file. Behind the time, a line has one of these:
///
/// - `< SEGMENT`, `> SEGMENT`: arrives, must leave. A segment is `FLAGS from:to(length) [ack n] [win n] [urg n] [garbage] [<options>]`
///   with the flags `SFRPUEC.`, or `-` for none; options are `mss n`, `wscale n`, `sackOK`, `sack a:b`, `ts VALUE ECHO`, `nop`, `eol`,
///   `hex 0102`, or `*` for any. Without `win`, 65535 arrives and any may leave. The payload continues the stream, `garbage` does not.
///   Timestamps count from the first of each side, as positions do. `*` is any in what leaves; in what arrives as VALUE the guest's clock,
///   in ms since the script began, and as ECHO the latest value of ours.
/// - `< icmp TYPE CODE [n] [about SEQ]`, `> icmp TYPE CODE`: an error arrives about the last segment that left, with `n` in its second
///   word, or about another sequence number; must leave, about the last segment that arrived.
/// - `! open | established | data n | fin | writable | reset REASON | closed`: must be told. `data` need not be expected.
/// - `connect PORT`, `accept`, `accept_early`, `refuse WHY`, `write n [takes m]`, `take n`, `fin`, `close`, `reset`: is called.
/// - `carry n`: at least so many bytes go each way and are acknowledged; positions count anew from there. Such a script is run once.
/// - `hold`, `drain`: frames are not asked for; are asked for again. `restored`: the guest is reached again after a time when it was not.
/// - `room n`, `readable n`, `flows n`, `dropped NAME n`: must be so.
/// - `pass`: nothing happens.
/// - `with PORT [ADDRESS:PORT]`: what follows is about this connection of the guest, whose address may be left out once it is known.
/// - `set NAME n`: before all else; the names are those of the limits, and `mss`, `mtu`, `lan_mtu`, `nagle`, `timestamps`, `rto_min`, and
///   `congestion` with `reno`, `cubic` or `none`; durations are in ms. Unless told so there are no timestamps, and Reno.
/// - `opened [mss n] [win n] [wscale n] [sackOK] [ts] [rtt s]`: the guest connects and we accept, in no time unless told.
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
    if let Some(words) = rest.strip_prefix("opened") {
        return opened(words, line, delay_us, steps);
    }
    steps.push(Step { line, text, delay_us, act: act(rest)? });
    Ok(())
}

/// The handshake that most scripts begin with.
fn opened(words: &str, line: usize, delay_us: u64, steps: &mut Vec<Step>) -> Result<(), String> {
    let mut words = words.split_whitespace();
    let (mut mss, mut window, mut more) = ("1000", "10000", String::new());
    let (mut echo, mut rtt) = ("", "0");
    while let Some(word) = words.next() {
        match word {
            "mss" => mss = words.next().ok_or("mss without a number")?,
            "win" => window = words.next().ok_or("win without a number")?,
            "wscale" => more += &format!(",wscale {}", words.next().ok_or("wscale without a number")?),
            "sackOK" => more += ",sackOK",
            "ts" => {
                more += ",ts * @0";
                echo = "<ts * *>";
            }
            "rtt" => rtt = words.next().ok_or("rtt without seconds")?,
            _ => return Err(format!("{word} is no part of a handshake")),
        }
    }
    let lines = [
        format!("+{} < S 0:0(0) win {window} <mss {mss}{more}>", delay_us as f64 / 1e6),
        "+0 ! open".to_owned(),
        "+0 accept".to_owned(),
        "+0 > S. 0:0(0) ack 1 <*>".to_owned(),
        format!("+{rtt} < . 1:1(0) ack 1 win {window} {echo}"),
    ];
    lines.iter().try_for_each(|code| read_line(code, line, steps))
}

fn act(rest: &str) -> Result<Act, String> {
    let (verb, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let tail = tail.trim();
    let call = |call| Ok(Act::Call(call));
    match verb {
        "<" => match tail.strip_prefix("icmp ") {
            Some(words) => Ok(Act::ArriveIcmp(icmp(words)?)),
            None => Ok(Act::Arrive(segment(tail)?)),
        },
        ">" => match tail.strip_prefix("icmp ") {
            Some(words) => Ok(Act::LeaveIcmp(icmp(words)?)),
            None => Ok(Act::Leave(segment(tail)?)),
        },
        "!" => Ok(Act::Tell(told(tail)?)),
        "set" => {
            let (name, value) = tail.split_once(' ').ok_or("set needs a name and a number")?;
            const ALGORITHMS: [&str; 3] = ["reno", "cubic", "none"];
            let named =
                ALGORITHMS.iter().position(|word| *word == value.trim()).filter(|_| name == "congestion");
            Ok(Act::Set(name.to_owned(), named.map_or_else(|| number(value), |at| Ok(at as u64))?))
        }
        "with" => {
            let Some((port, target)) = tail.split_once(' ') else { return Ok(Act::WithPort(number(tail)?)) };
            let target = target.trim().parse().map_err(|_| format!("{target} is no address and port"))?;
            Ok(Act::With(Pair { guest_port: number(port)?, target }))
        }
        "pass" => Ok(Act::Pass),
        "connect" => call(Call::Connect(number(tail)?)),
        "accept" => call(Call::Accept),
        "accept_early" => call(Call::AcceptEarly),
        "refuse" => call(Call::Refuse(refusal(tail)?)),
        "fin" => call(Call::Fin),
        "close" => call(Call::Close),
        "reset" => call(Call::Reset),
        "carry" => call(Call::Carry(number(tail)?)),
        "hold" => call(Call::Hold),
        "drain" => call(Call::Drain),
        "restored" => call(Call::Restored),
        "take" => call(Call::Take(number(tail)?)),
        "write" => {
            let (n, taken) = tail.split_once(" takes ").unwrap_or((tail, tail));
            call(Call::Write(number(n)?, number(taken)?))
        }
        "room" => Ok(Act::Check(Check::Room(number(tail)?))),
        "readable" => Ok(Act::Check(Check::Readable(number(tail)?))),
        "flows" => Ok(Act::Check(Check::Flows(number(tail)?))),
        "dropped" => {
            let (name, n) = tail.split_once(' ').ok_or("dropped needs a name and a number")?;
            Ok(Act::Check(Check::Dropped(name.to_owned(), number(n)?)))
        }
        _ => Err(format!("{verb} is nothing that a line can say")),
    }
}

fn number<T: core::str::FromStr>(word: &str) -> Result<T, String> {
    word.trim().parse().map_err(|_| format!("{word:?} is no number here"))
}

fn icmp(words: &str) -> Result<Icmp, String> {
    let (words, about) = match words.split_once(" about ") {
        Some((words, about)) => (words, Some(position(about.trim())?)),
        None => (words, None),
    };
    let words: Vec<&str> = words.split_whitespace().collect();
    let [kind, code, rest @ ..] = &words[..] else { return Err("icmp needs a type and a code".into()) };
    let rest = rest.first().map_or(Ok(0), |word| number(word))?;
    Ok(Icmp { kind: number(kind)?, code: number(code)?, rest, about })
}

fn refusal(word: &str) -> Result<Refusal, String> {
    const ALL: [Refusal; 4] = [Refusal::Refused, Refusal::Unreachable, Refusal::Timeout, Refusal::Denied];
    let named = ALL.into_iter().find(|why| format!("{why:?}") == word);
    named.ok_or_else(|| format!("{word} is no refusal"))
}

fn told(tail: &str) -> Result<Told, String> {
    match tail.split_once(' ').unwrap_or((tail, "")) {
        ("open", "") => Ok(Told::Open),
        ("established", "") => Ok(Told::Established),
        ("data", n) => Ok(Told::Data(number(n)?)),
        ("fin", "") => Ok(Told::Fin),
        ("writable", "") => Ok(Told::Writable),
        ("closed", "") => Ok(Told::Closed),
        ("reset", why) => match why.trim() {
            "Reset" => Ok(Told::Reset(ResetReason::Reset)),
            "Refused" => Ok(Told::Reset(ResetReason::Refused)),
            "Unreachable" => Ok(Told::Reset(ResetReason::Unreachable)),
            "Timeout" => Ok(Told::Reset(ResetReason::Timeout)),
            _ => Err(format!("{why} is no reason")),
        },
        _ => Err(format!("{tail} is no event")),
    }
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
            "ts" => {
                let mut stamp = || match value()? {
                    "*" => Ok(None),
                    word => position(word).map(Some),
                };
                Opt::Timestamps(stamp()?, stamp()?)
            }
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
