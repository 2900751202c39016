//! Host names that clients tell (RFC 2132 section 3.14, RFC 4702), made fit for the DNS (RFC 1123 section 2.1). No state.

/// Names that no client gets, because what resolves them acts on the answer: a guest called `wpad` would be every browser's proxy.
const REFUSED: [&str; 3] = ["localhost", "wpad", "isatap"];

/// The longest label of a name, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// The label that `text` names its sender by: its first label in lower case, every byte that a host name may not have made a hyphen.
/// `None` if nothing is left, if it looks like a number, or if it is a name with a meaning of its own.
pub(super) fn host_label(text: &[u8]) -> Option<String> {
    let end = text.iter().position(|b| matches!(b, 0 | b'.')).unwrap_or(text.len());
    let label: String = String::from_utf8_lossy(&text[..end])
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(MAX_LABEL_BYTES)
        .collect();
    let label = label.trim_matches('-');
    let fit = label.bytes().any(|b| b.is_ascii_alphabetic()) && !REFUSED.contains(&label);
    fit.then(|| label.to_owned())
}

/// The same for a name of option 81: flags, two bytes of no meaning, and a name in ASCII or in the DNS's encoding.
pub(super) fn fqdn_label(option: &[u8]) -> Option<String> {
    const ENCODED: u8 = 0x04;
    let (fixed, name) = option.split_at_checked(3)?;
    if fixed[0] & ENCODED == 0 {
        return host_label(name);
    }
    let (length, rest) = name.split_first()?;
    host_label(rest.get(..usize::from(*length))?)
}
