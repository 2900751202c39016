//! Flags by the rules of Go's `flag` package: one dash or two, a value behind `=` or in the next argument, switches that take a value only
//! behind `=`, and an end at the first argument that is no flag.

/// A flag that a program knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// Whether it is on or off, and so stands alone.
    pub(super) is_switch: bool,
}

/// What was written: flags with their values, in order, and the arguments behind them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) flags: Vec<(&'static str, String)>,
    pub(super) arguments: Vec<String>,
}

/// Takes the arguments apart.
///
/// # Errors
/// The first mistake, in Go's words.
pub(super) fn parse(known: &[Flag], arguments: &[String]) -> Result<Parsed, String> {
    let mut flags = Vec::new();
    let mut left = arguments.iter();
    loop {
        let rest = left.as_slice();
        let Some(argument) = left.next() else { break };
        if argument == "--" {
            break;
        }
        let Some(written) = argument.strip_prefix('-').filter(|written| !written.is_empty()) else {
            return Ok(Parsed { flags, arguments: rest.to_vec() });
        };
        let written = written.strip_prefix('-').unwrap_or(written);
        if written.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {argument}"));
        }
        let (name, value) = written.split_once('=').map_or((written, None), |(n, v)| (n, Some(v)));
        let Some(flag) = known.iter().find(|flag| flag.name == name) else {
            return Err(format!("flag provided but not defined: -{name}"));
        };
        let value = match value {
            Some(value) => value.to_owned(),
            None if flag.is_switch => "true".to_owned(),
            None => left.next().ok_or_else(|| format!("flag needs an argument: -{name}"))?.clone(),
        };
        if flag.is_switch && switch(&value).is_none() {
            return Err(format!("invalid boolean value \"{value}\" for -{name}: write true or false"));
        }
        flags.push((flag.name, value));
    }
    Ok(Parsed { flags, arguments: left.as_slice().to_vec() })
}

impl Parsed {
    /// All values of a flag, in order.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// The value of a flag: the last one counts.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// What a switch says, if it was written.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.last(name).and_then(switch)
    }
}

/// What Go takes for a boolean.
fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
