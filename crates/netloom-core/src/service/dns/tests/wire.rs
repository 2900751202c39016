//! DNS messages for tests, by the figures of RFC 1035, sharing no code with the server.

pub(super) const A: u16 = 1;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const PTR: u16 = 12;
pub(super) const HINFO: u16 = 13;
pub(super) const MX: u16 = 15;
pub(super) const AAAA: u16 = 28;
pub(super) const OPT: u16 = 41;
pub(super) const HTTPS: u16 = 65;
pub(super) const ANY: u16 = 255;

pub(super) fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A message with one question, and nothing after it.
pub(super) fn message(flags: u16, asked: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34];
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&name(asked));
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    bytes
}

/// A query with recursion desired.
pub(super) fn query(asked: &str, kind: u16) -> Vec<u8> {
    message(0x0100, asked, kind)
}

/// Appends a record to a section (1 to 3), which must not lie before one that has records.
pub(super) fn push(message: &mut Vec<u8>, section: usize, owner: &[u8], kind: u16, data: &[u8]) {
    let at = 4 + 2 * section;
    let count = u16::from_be_bytes([message[at], message[at + 1]]) + 1;
    message[at..at + 2].copy_from_slice(&count.to_be_bytes());
    message.extend_from_slice(owner);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
    message.extend_from_slice(&(data.len() as u16).to_be_bytes());
    message.extend_from_slice(data);
}

/// Appends EDNS options: payload size, version and the DNSSEC-OK bit.
pub(super) fn push_opt(message: &mut Vec<u8>, payload: u16, version: u8, dnssec_ok: bool) {
    message[11] += 1;
    message.push(0);
    message.extend_from_slice(&OPT.to_be_bytes());
    message.extend_from_slice(&payload.to_be_bytes());
    message.extend_from_slice(&[0, version, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) section: usize,
    pub(super) owner: String,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) data: Vec<u8>,
}

/// A message, read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) flags: u16,
    pub(super) question: Option<(String, u16)>,
    pub(super) records: Vec<Record>,
}

impl Read {
    pub(super) fn of(message: &[u8]) -> Self {
        let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        assert_eq!(word(0), 0x1234, "the query's identifier");
        let mut at = 12;
        let question = (word(4) == 1).then(|| {
            let asked = read_name(message, &mut at);
            at += 4;
            (asked, word(at - 4))
        });
        let mut records = Vec::new();
        for section in 1..=3 {
            for _ in 0..word(4 + 2 * section) {
                let owner = read_name(message, &mut at);
                let ttl = u32::from(word(at + 4)) << 16 | u32::from(word(at + 6));
                let length = usize::from(word(at + 8));
                let data = message[at + 10..at + 10 + length].to_vec();
                records.push(Record { section, owner, kind: word(at), class: word(at + 2), ttl, data });
                at += 10 + length;
            }
        }
        assert_eq!(at, message.len(), "nothing follows the records");
        Self { flags: word(2), question, records }
    }

    pub(super) fn rcode(&self) -> u16 {
        self.flags & 15
    }

    pub(super) fn is_authoritative(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    pub(super) fn of_kind(&self, kind: u16) -> Vec<&Record> {
        self.records.iter().filter(|record| record.kind == kind).collect()
    }
}

fn read_name(message: &[u8], at: &mut usize) -> String {
    let (mut text, mut from, mut jumped) = (String::new(), *at, false);
    loop {
        let length = usize::from(message[from]);
        if length >= 0xc0 {
            if !jumped {
                *at = from + 2;
            }
            jumped = true;
            from = (length & 0x3f) << 8 | usize::from(message[from + 1]);
            continue;
        }
        from += 1 + length;
        if length == 0 {
            if !jumped {
                *at = from;
            }
            return text;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(core::str::from_utf8(&message[from - length..from]).unwrap());
    }
}
