//! The machine's TCP, rule by rule: each file of `scripts/` holds one theme, each script in it one rule, named by its RFC section.

#![expect(clippy::expect_used, reason = "what fails here fails a test")]

use netloom_sim::script;

fn hold(text: &str) {
    let scripts = script::parse(text);
    assert!(!scripts.is_empty());
    let broken: Vec<String> = scripts.iter().filter_map(|script| script::run(script).err()).collect();
    assert!(
        broken.is_empty(),
        "{} of {} do not hold:\n\n{}",
        broken.len(),
        scripts.len(),
        broken.join("\n\n")
    );
}

macro_rules! themes {
    ($($theme:ident),* $(,)?) => {
        $(
            #[test]
            fn $theme() {
                hold(include_str!(concat!("scripts/", stringify!($theme), ".pkt")));
            }
        )*

        const TEXTS: &[(&str, &str)] =
            &[$((stringify!($theme), include_str!(concat!("scripts/", stringify!($theme), ".pkt")))),*];
    };
}

themes!(
    ack,
    backlog,
    close,
    congestion,
    far,
    keepalive,
    mss,
    open,
    rack,
    reassembly,
    recovery,
    reset,
    restored,
    rto,
    sack,
    send,
    time_wait,
    timestamps,
    window,
    zero_window
);

#[test]
fn every_file_is_a_theme() {
    let files =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts")).expect("the scripts");
    assert_eq!(files.count(), TEXTS.len());
}

/// What a script expects, changed a little: a line left out, late, or with another number.
fn changes(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [time, verb, ..] = words[..] else { return Vec::new() };
    let other = |at: usize, number: &str| {
        let mut words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let number: u32 = number.parse().expect("a number");
        words[at] = (if number == 65_535 { 0 } else { number + 1 }).to_string();
        words.join(" ")
    };
    let number_behind = |name: &str| words.iter().position(|word| *word == name).map(|at| at + 1);
    let mut all = Vec::new();
    if matches!(verb, ">" | "!") && words[2] != "data" {
        all.push(format!("{time} pass"));
        let seconds: f64 = time[1..].parse().expect("a time");
        all.push(format!("+{:.6} {}", seconds + 1e-6, words[1..].join(" ")));
    }
    if verb == ">" && words[2] != "icmp" {
        all.push(line.replacen("> ", "> U", 1));
        let numbers = ["ack", "win"].into_iter().filter_map(number_behind);
        all.extend(numbers.map(|at| other(at, words[at])));
        let (_, length) = words[3].split_once('(').expect("a length");
        let length: u32 = length.trim_end_matches(')').parse().expect("a length");
        let seq = words[3].split([':', '(']).next().expect("a position");
        all.push(match seq.parse::<u32>() {
            Ok(seq) => line.replacen(words[3], &format!("{}:{}({length})", seq + 1, seq + 1 + length), 1),
            Err(_) => line.replacen(words[3], "@77(0)", 1),
        });
        if let Ok(seq) = seq.parse::<u32>() {
            all.push(line.replacen(words[3], &format!("{seq}:{}({})", seq + length + 1, length + 1), 1));
        }
        let options = words.iter().position(|word| word.starts_with('<')).unwrap_or(words.len());
        for (at, word) in words.iter().enumerate().skip(options) {
            let (front, number) = word.split_at(word.rfind([':', '<']).map_or(0, |at| at + 1));
            let digits = number.trim_end_matches(['>', ',']);
            let Ok(value) = digits.parse::<u32>() else { continue };
            let changed = format!("{front}{}{}", (value + 1) % 65_536, &number[digits.len()..]);
            let mut words = words.clone();
            words[at] = &changed;
            all.push(words.join(" "));
        }
        if !line.contains('<') {
            all.push(format!("{line} <mss 1>"));
        }
    }
    if matches!(verb, "flows" | "readable" | "room") {
        all.push(other(2, words[2]));
    }
    if verb == "dropped" {
        all.push(other(3, words[3]));
    }
    all
}

#[test]
fn a_script_with_a_wrong_line_does_not_hold() {
    let mut tried = 0;
    for (theme, text) in TEXTS {
        let code = |line: &'static str| match line.split('#').next().unwrap_or_default().trim() {
            // Gigabytes need not be carried for this.
            line if line.contains(" carry ") => "+0 carry 1",
            line => line,
        };
        let lines: Vec<&str> = text.lines().map(code).collect();
        let mut begin = 0;
        for (at, line) in lines.iter().enumerate() {
            if line.starts_with("==") {
                begin = at;
            }
            let end = lines[at + 1..].iter().position(|line| line.starts_with("==")).map(|n| at + 1 + n);
            for change in changes(line) {
                let mut changed = lines[begin..end.unwrap_or(lines.len())].to_vec();
                changed[at - begin] = &change;
                let script = &script::parse(&changed.join("\n"))[0];
                assert!(script::run(script).is_err(), "{theme}.pkt line {}: {change:?} holds too", at + 1);
                tried += 1;
            }
        }
    }
    assert!(tried > 2000, "only {tried} changes were tried");
}
