//! From words to steps, by the grammar of pcap-filter(7).

use std::net::{IpAddr, Ipv4Addr};

use netloom_core::IpNet;

use super::lex::{Token, lex};
use super::names::{ethertype, ethertype_of, ip_protocol, port, port_range, protocol_of};
use super::packet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP};
use super::test::{End, Test};
use super::{FilterError, Step, wrong};
use crate::capture::Direction;

/// Parentheses within each other. A value of each may wait while the inner ones are judged, so that a word of bits holds all.
const MAX_DEPTH: usize = 32;

pub(super) fn parse(text: &str) -> Result<Vec<Step>, FilterError> {
    let tokens = lex(text)?;
    let mut parser = Parser { tokens: &tokens, steps: Vec::new(), before: None, depth: 0 };
    if !tokens.is_empty() {
        parser.expression()?;
        if let Some(token) = parser.tokens.first() {
            return Err(match token {
                Token::Close => wrong("there is a `)` too many"),
                other => wrong(format!("`{}` does not continue the filter; write and, or", shown(other))),
            });
        }
    }
    Ok(parser.steps)
}

struct Parser<'a> {
    tokens: &'a [Token],
    steps: Vec<Step>,
    /// What stood before the last value, for one that stands alone.
    before: Option<Qualifiers>,
    depth: usize,
}

/// The words before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Qualifiers {
    of: Option<Of>,
    end: Option<End>,
    kind: Kind,
}

/// The protocol that a value is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Ether,
    Network(u16),
    Transport(u8),
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Protocol,
}

impl Parser<'_> {
    fn expression(&mut self) -> Result<(), FilterError> {
        self.term()?;
        loop {
            let step = match self.tokens.first() {
                Some(Token::And) => Step::And,
                Some(Token::Or) => Step::Or,
                _ => return Ok(()),
            };
            self.skip();
            self.term()?;
            self.steps.push(step);
        }
    }

    fn term(&mut self) -> Result<(), FilterError> {
        let mut negated = false;
        while self.tokens.first() == Some(&Token::Not) {
            negated = !negated;
            self.skip();
        }
        match self.tokens.first() {
            Some(Token::Open) => {
                if self.depth == MAX_DEPTH {
                    return Err(wrong(format!("more than {MAX_DEPTH} parentheses within each other")));
                }
                self.depth += 1;
                self.skip();
                self.expression()?;
                if self.tokens.first() != Some(&Token::Close) {
                    return Err(wrong("a `(` is not closed"));
                }
                self.skip();
                self.depth -= 1;
            }
            Some(Token::Word(_)) => {
                let test = self.primitive()?;
                self.steps.push(Step::Test(test));
            }
            Some(token) => return Err(wrong(format!("something is missing before `{}`", shown(token)))),
            None => {
                return Err(wrong("the filter ends too early; write as in: tcp port 80 and host 10.0.0.1"));
            }
        }
        if negated {
            self.steps.push(Step::Not);
        }
        Ok(())
    }

    fn primitive(&mut self) -> Result<Test, FilterError> {
        let of = self.word().and_then(of);
        if of.is_some() {
            self.skip();
        }
        let end = self.end();
        let word = self.word().map(str::to_owned);
        if let (None, Some(word)) = (end, &word)
            && let Some(test) = self.alone(of, word)?
        {
            self.before = None;
            return Ok(test);
        }
        let kind = word.as_deref().and_then(|word| match word {
            "host" => Some(Kind::Host),
            "net" => Some(Kind::Net),
            "port" => Some(Kind::Port),
            "portrange" => Some(Kind::PortRange),
            "proto" => Some(Kind::Protocol),
            _ => None,
        });
        if kind.is_some() {
            self.skip();
        }
        let qualifiers = match (of, end, kind) {
            // A protocol with nothing behind it.
            (Some(of), None, None) => {
                self.before = None;
                return Ok(protocol(of));
            }
            (None, None, None) => self.before.ok_or_else(|| {
                wrong(format!(
                    "`{}` is not understood; write host ADDRESS, net NET, port PORT or a protocol",
                    word.as_deref().unwrap_or_default()
                ))
            })?,
            (of, end, kind) => Qualifiers { of, end, kind: kind.unwrap_or(Kind::Host) },
        };
        self.before = Some(qualifiers);
        let Some(value) = self.word().map(str::to_owned) else {
            return Err(wrong("a value is missing; write as in: host 192.168.86.100, port 80"));
        };
        self.skip();
        self.value(qualifiers, &value)
    }

    /// What stands for itself: a protocol's groups, lengths and directions.
    fn alone(&mut self, of: Option<Of>, word: &str) -> Result<Option<Test>, FilterError> {
        let test = match (of, word) {
            (None | Some(Of::Ether), "broadcast") => Test::Broadcast,
            (None | Some(Of::Ether), "multicast") => Test::Multicast,
            (Some(Of::Network(ethertype @ (ETHERTYPE_IPV4 | ETHERTYPE_IPV6))), "multicast") => {
                Test::IpMulticast(ethertype)
            }
            (None, "inbound") => Test::Direction(Direction::Inbound),
            (None, "outbound") => Test::Direction(Direction::Outbound),
            (None, "less" | "greater") => {
                self.skip();
                let length = self.word().and_then(|word| word.parse().ok());
                let length = length.ok_or_else(|| wrong(format!("{word} needs a number of bytes")))?;
                if word == "less" { Test::Less(length) } else { Test::Greater(length) }
            }
            _ => return Ok(None),
        };
        self.skip();
        Ok(Some(test))
    }

    /// `src`, `dst`, `src or dst`, `src and dst`, and the last two the other way round.
    fn end(&mut self) -> Option<End> {
        let one = |word: &str| match word {
            "src" => Some(End::Source),
            "dst" => Some(End::Destination),
            _ => None,
        };
        let first = one(self.word()?)?;
        self.skip();
        let both = match self.tokens.first() {
            Some(Token::Or) => End::Either,
            Some(Token::And) => End::Both,
            _ => return Some(first),
        };
        let second = match self.tokens.get(1) {
            Some(Token::Word(word)) => one(word),
            _ => None,
        };
        // `src host A and dst host B` has a value between, so an end right behind the operator belongs here.
        if second.is_some_and(|second| second != first) {
            self.skip();
            self.skip();
            return Some(both);
        }
        Some(first)
    }

    fn value(&mut self, qualifiers: Qualifiers, value: &str) -> Result<Test, FilterError> {
        let Qualifiers { of, end, kind } = qualifiers;
        let end = end.unwrap_or(End::Either);
        let not_of =
            |what: &str| Err(wrong(format!("{what} is not something of that protocol; leave it out")));
        match (kind, of) {
            (Kind::Host, Some(Of::Ether)) => match value.parse() {
                Ok(mac) => Ok(Test::Mac(end, mac)),
                Err(error) => Err(wrong(format!("`{value}`: {error}"))),
            },
            (Kind::Host, None) if value.parse::<netloom_core::MacAddr>().is_ok() => {
                Err(wrong(format!("`{value}` is a MAC address; write ether host {value}")))
            }
            (Kind::Host, None | Some(Of::Network(_))) => {
                let address: IpAddr = value.parse().map_err(|_| {
                    wrong(format!("`{value}` is not an IP address; names of hosts are not resolved"))
                })?;
                address_of(of, end, IpNet::new(address, 128))
            }
            (Kind::Net, None | Some(Of::Network(_))) => {
                let net = self.net(value)?;
                address_of(of, end, net)
            }
            (Kind::Port, None) => Ok(Test::Ports(None, end, port(value)?)),
            (Kind::Port, Some(Of::Transport(of))) if has_ports(of) => {
                Ok(Test::Ports(Some(of), end, port(value)?))
            }
            (Kind::PortRange, None) => Ok(Test::Ports(None, end, port_range(value)?)),
            (Kind::PortRange, Some(Of::Transport(of))) if has_ports(of) => {
                Ok(Test::Ports(Some(of), end, port_range(value)?))
            }
            (Kind::Protocol, Some(Of::Ether)) => ethertype(value).map(Test::Ethertype),
            (Kind::Protocol, None) => ip_protocol(value).map(|number| Test::Protocol(None, number)),
            (Kind::Protocol, Some(Of::Network(of @ (ETHERTYPE_IPV4 | ETHERTYPE_IPV6)))) => {
                ip_protocol(value).map(|number| Test::Protocol(Some(of), number))
            }
            (Kind::Host, _) => not_of("an address"),
            (Kind::Net, _) => not_of("a network"),
            (Kind::Port | Kind::PortRange, _) => not_of("a port"),
            (Kind::Protocol, _) => not_of("a protocol"),
        }
    }

    /// `NET`, `NET/BITS` or `NET mask MASK`; of IPv4, octets at the end may be left out.
    fn net(&mut self, value: &str) -> Result<IpNet, FilterError> {
        let refuse = || wrong(format!("`{value}` is not a network; write it as in: net 192.168.86.0/24"));
        let (text, bits) = match value.split_once('/') {
            Some((text, bits)) => (text, Some(bits.parse::<u8>().map_err(|_| refuse())?)),
            None => (value, None),
        };
        let (address, whole_bits) = if text.contains(':') {
            (text.parse().map_err(|_| refuse())?, 128)
        } else {
            let mut octets = [0; 4];
            let parts: Vec<&str> = text.split('.').collect();
            if parts.len() > octets.len() {
                return Err(refuse());
            }
            for (octet, part) in octets.iter_mut().zip(&parts) {
                *octet = part.parse().map_err(|_| refuse())?;
            }
            (IpAddr::V4(octets.into()), parts.len() as u8 * 8)
        };
        let mut bits = bits;
        if bits.is_none() && self.word() == Some("mask") {
            self.skip();
            let mask = self.word().and_then(|mask| mask.parse::<Ipv4Addr>().ok()).map(Ipv4Addr::to_bits);
            let mask = mask.filter(|mask| mask.leading_ones() == mask.count_ones());
            let mask = mask.ok_or_else(|| wrong("a mask is missing; write it as in: mask 255.255.255.0"))?;
            self.skip();
            bits = Some(mask.leading_ones() as u8);
        }
        let bits = bits.unwrap_or(whole_bits);
        if bits > if address.is_ipv4() { 32 } else { 128 } {
            return Err(refuse());
        }
        Ok(IpNet::new(address, bits))
    }

    fn word(&self) -> Option<&str> {
        match self.tokens.first()? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn skip(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }
}

fn of(word: &str) -> Option<Of> {
    match word {
        "ether" => Some(Of::Ether),
        _ => ethertype_of(word).map(Of::Network).or_else(|| protocol_of(word).map(Of::Transport)),
    }
}

/// A protocol alone: all its packets.
fn protocol(of: Of) -> Test {
    match of {
        Of::Ether => Test::Any,
        Of::Network(ethertype) => Test::Ethertype(ethertype),
        // Each is of one version of IP.
        Of::Transport(number @ (1 | 2)) => Test::Protocol(Some(ETHERTYPE_IPV4), number),
        Of::Transport(58) => Test::Protocol(Some(ETHERTYPE_IPV6), 58),
        Of::Transport(number) => Test::Protocol(None, number),
    }
}

fn address_of(of: Option<Of>, end: End, net: IpNet) -> Result<Test, FilterError> {
    let is_v6 = net.address().is_ipv6();
    match of {
        Some(Of::Network(ethertype)) if is_v6 != (ethertype == ETHERTYPE_IPV6) => {
            Err(wrong(format!("`{}` is an address of another protocol", net.address())))
        }
        Some(Of::Network(ethertype)) => Ok(Test::Address(Some(ethertype), end, net)),
        _ => Ok(Test::Address(None, end, net)),
    }
}

const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP)
}

fn shown(token: &Token) -> &str {
    match token {
        Token::Open => "(",
        Token::Close => ")",
        Token::Not => "not",
        Token::And => "and",
        Token::Or => "or",
        Token::Word(word) => word,
    }
}
