//! As much of DER (X.690) as certificates take. Libraries for it, which know all of X.509, weigh a seventh of the module that pages load.

use crate::UnixSeconds;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// A tag of the context.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// A tag of the context for what has parts.
pub(crate) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// An element of these parts.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let first = bytes.iter().position(|&byte| byte != 0).unwrap_or_default();
        out.push(0x80 | (bytes.len() - first) as u8);
        out.extend_from_slice(&bytes[first..]);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A bit string of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes])
}

/// A time as certificates have it: with two digits for the year before 2050 (RFC 5280 4.1.2.5).
pub(crate) fn time(at: UnixSeconds) -> Vec<u8> {
    let (year, month, day) = date(at / 86_400);
    let (hour, minute, second) = (at / 3600 % 24, at / 60 % 60, at % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        return element(UTC_TIME, &[format!("{:02}", year % 100).as_bytes(), rest.as_bytes()]);
    }
    element(GENERALIZED_TIME, &[format!("{year:04}").as_bytes(), rest.as_bytes()])
}

/// The time that an element says.
pub(crate) fn read_time(read: &Element<'_>) -> Option<UnixSeconds> {
    let text = core::str::from_utf8(read.content).ok()?.strip_suffix('Z')?;
    let (year, rest) = match read.tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: u64 = year.parse().ok()?;
            (year + if year < 50 { 2000 } else { 1900 }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let mut numbers = [0; 5];
    if rest.len() != 10 {
        return None;
    }
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = rest.get(2 * at..2 * at + 2)?.parse().ok()?;
    }
    let [month, day, hour, minute, second] = numbers;
    ((1..=12).contains(&month) && year >= 1970)
        .then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Year, month and day of a day since 1970, with years that begin in March, so that the leap day is the last.
const fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, january) = (of_year - (153 * month + 2) / 5 + 1, month > 9);
    (era * 400 + year + january as u64, if january { month - 9 } else { month + 3 }, day)
}

/// The day since 1970 of a date.
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month < 3 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let month = if month < 3 { month + 9 } else { month - 3 };
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day)
        .saturating_sub(719_469)
}

/// An element that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// With tag and length.
    pub(crate) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// Its parts.
    pub(crate) const fn parts(&self) -> Reader<'a> {
        Reader(self.content)
    }
}

/// Elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next one, if it has this tag.
    pub(crate) fn tagged(&mut self, tag: u8) -> Option<Element<'a>> {
        if *self.0.first()? != tag { None } else { self.next() }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            // No certificate has more than three bytes of length.
            let (bytes, after) =
                rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| bytes.len() <= 3)?;
            length = bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
            rest = after;
        }
        let (content, after) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some(Element { tag, content, whole })
    }
}

#[cfg(test)]
#[path = "der_tests.rs"]
mod tests;
