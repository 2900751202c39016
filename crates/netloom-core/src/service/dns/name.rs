//! Domain names on the wire (RFC 1035 sections 3.1 and 4.1.4), read with bounds on length and pointers. No state.

/// Longest name on the wire, in bytes, with its root label.
const MAX_NAME_BYTES: usize = 255;

/// A name has no more labels than this, so no more pointers are of use.
const MAX_JUMPS: usize = 127;

/// The two high bits of a length byte that make it a pointer.
const POINTER: u8 = 0xc0;

/// Reads the name at `at`: its text, as given, and where what follows it begins. The root is the empty text.
///
/// A pointer must point before the name that it is part of, as every writer's do, so reading ends.
pub(super) fn read(message: &[u8], at: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let end = walk(message, at, |label| push_label(&mut text, label))?;
    Some((text, end))
}

/// Where what follows the name at `at` begins, once the name was found well-formed.
pub(super) fn skip(message: &[u8], at: usize) -> Option<usize> {
    walk(message, at, |_| {})
}

/// The name at `at` without pointers: wire format, case kept.
pub(super) fn expand(message: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let mut wire = Vec::new();
    let end = walk(message, at, |label| {
        // A label's length is at most 63.
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
    })?;
    wire.push(0);
    Some((wire, end))
}

fn walk(message: &[u8], at: usize, mut each: impl FnMut(&[u8])) -> Option<usize> {
    let (mut at, mut end, mut lowest) = (at, None, at);
    let (mut length, mut jumps) = (1, 0);
    loop {
        let byte = *message.get(at)?;
        match byte & POINTER {
            POINTER => {
                let target = usize::from(byte & !POINTER) << 8 | usize::from(*message.get(at + 1)?);
                jumps += 1;
                if target >= lowest || jumps > MAX_JUMPS {
                    return None;
                }
                end = end.or(Some(at + 2));
                (at, lowest) = (target, target);
            }
            0 if byte == 0 => return Some(end.unwrap_or(at + 1)),
            0 => {
                let label = message.get(at + 1..at + 1 + usize::from(byte))?;
                length += 1 + label.len();
                if length > MAX_NAME_BYTES {
                    return None;
                }
                each(label);
                at += 1 + label.len();
            }
            _ => return None,
        }
    }
}

/// Appends a label as master files write it (RFC 1035 section 5.1), so that no two names share a text.
fn push_label(text: &mut String, label: &[u8]) {
    if !text.is_empty() {
        text.push('.');
    }
    for byte in label {
        match byte {
            b'.' | b'\\' => {
                text.push('\\');
                text.push(char::from(*byte));
            }
            0x21..=0x7e => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
}

/// Writes a name of ordinary labels, without escapes; `None` if it is not one.
pub(super) fn write(text: &str, wire: &mut Vec<u8>) -> Option<()> {
    let start = wire.len();
    for label in text.split('.').filter(|_| !text.is_empty()) {
        let length = u8::try_from(label.len()).ok().filter(|length| matches!(length, 1..=63))?;
        wire.push(length);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    (wire.len() - start <= MAX_NAME_BYTES).then_some(())
}
