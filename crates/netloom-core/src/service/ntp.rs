//! NTP server (RFC 5905, RFC 4330 for SNTP): tells the host's clock to whoever asks. No state.

#[cfg(test)]
mod tests;

/// Bytes of an NTP message without extension fields.
pub const MESSAGE_BYTES: usize = 48;

/// Seconds from the NTP era's start, 1900, to the Unix epoch.
const UNIX_EPOCH_S: u64 = 2_208_988_800;

const SYMMETRIC_ACTIVE: u8 = 1;
const SYMMETRIC_PASSIVE: u8 = 2;
const CLIENT: u8 = 3;
const SERVER: u8 = 4;

/// A clock that is not known to be set by anything better (RFC 4330 section 4: the local clock as a subnet's reference).
const STRATUM: u8 = 1;
const REFERENCE_ID: [u8; 4] = *b"LOCL";

/// 2^-20 s, about the microsecond that the clock is told in.
const PRECISION: i8 = -20;

/// 10 ms in NTP's short format of 1/65,536 s: how far a page's or a host's clock may be behind itself.
const ROOT_DISPERSION: u32 = 655;

/// The answer to a request, at `unix_us` microseconds after the Unix epoch. `None` for what is not a request of version 1 to 4.
#[must_use]
pub fn reply(request: &[u8], unix_us: u64) -> Option<[u8; MESSAGE_BYTES]> {
    let request: &[u8; MESSAGE_BYTES] = request.first_chunk()?;
    let (version, mode) = (request[0] >> 3 & 7, request[0] & 7);
    let mode = match (version, mode) {
        // Version 1 had no modes (RFC 5905 appendix A.5.1.1 calls them for that version by the port).
        (1, 0) | (1..=4, CLIENT) => SERVER,
        (1..=4, SYMMETRIC_ACTIVE) => SYMMETRIC_PASSIVE,
        _ => return None,
    };
    let now = timestamp(unix_us);
    let mut reply = [0; MESSAGE_BYTES];
    // The leap indicator is 0: no warning, the clock is set.
    reply[0] = version << 3 | mode;
    reply[1] = STRATUM;
    reply[2] = request[2];
    reply[3] = PRECISION.to_be_bytes()[0];
    reply[8..12].copy_from_slice(&ROOT_DISPERSION.to_be_bytes());
    reply[12..16].copy_from_slice(&REFERENCE_ID);
    reply[16..24].copy_from_slice(&now);
    reply[24..32].copy_from_slice(&request[40..48]);
    reply[32..40].copy_from_slice(&now);
    reply[40..48].copy_from_slice(&now);
    Some(reply)
}

/// A time in NTP's timestamp format: seconds of the era, which wrap in 2036, and the fraction.
fn timestamp(unix_us: u64) -> [u8; 8] {
    let (s, us) = (unix_us / 1_000_000, unix_us % 1_000_000);
    let era_s = (s + UNIX_EPOCH_S) & u64::from(u32::MAX);
    let fraction = (us << 32) / 1_000_000;
    (era_s << 32 | fraction).to_be_bytes()
}
