//! Writes capture files in pcapng (draft-ietf-opsawg-pcapng), little-endian, with times in microseconds.
//!
//! A file is a section header, then an interface description before the first packet of each interface, packets, and the interfaces' statistics.

/// Which way a frame went, seen from the port: `epb_flags`, bits 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the guest.
    Inbound = 1,
    /// To the guest.
    Outbound = 2,
}

/// What became of an interface's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    /// Frames that passed.
    pub(super) received: u64,
    /// Frames that the filter took.
    pub(super) accepted: u64,
    /// Frames that the filter took and the reader was too slow for.
    pub(super) dropped: u64,
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const LINKTYPE_ETHERNET: u16 = 1;
/// Bytes of a packet block beside the frame, its padding included.
pub(super) const PACKET_OVERHEAD_BYTES: usize = 48;
/// Bytes of a block of statistics.
pub(super) const STATISTICS_BYTES: usize = 100;

/// Begins a file.
pub(super) fn put_section(out: &mut Vec<u8>, application: &str) {
    block(out, SECTION_HEADER, |out| {
        out.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
        out.extend_from_slice(&1_u16.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        // The section's length is not known yet.
        out.extend_from_slice(&(-1_i64).to_le_bytes());
        option(out, 4, application.as_bytes());
        end_of_options(out);
    });
}

/// Describes the next interface; they are numbered from 0.
pub(super) fn put_interface(
    out: &mut Vec<u8>,
    name: &str,
    description: &str,
    snap_bytes: u32,
    filter: Option<&str>,
) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend_from_slice(&LINKTYPE_ETHERNET.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        out.extend_from_slice(&snap_bytes.to_le_bytes());
        option(out, 2, name.as_bytes());
        option(out, 3, description.as_bytes());
        if let Some(filter) = filter {
            // 0: a filter as libpcap writes it.
            option(out, 11, &[&[0], filter.as_bytes()].concat());
        }
        end_of_options(out);
    });
}

/// A frame, cut to `snap_bytes`.
pub(super) fn put_packet(
    out: &mut Vec<u8>,
    interface: u32,
    unix_us: u64,
    direction: Direction,
    frame: &[u8],
    snap_bytes: usize,
) {
    let kept = &frame[..frame.len().min(snap_bytes)];
    block(out, ENHANCED_PACKET, |out| {
        out.extend_from_slice(&interface.to_le_bytes());
        put_time(out, unix_us);
        out.extend_from_slice(&(kept.len() as u32).to_le_bytes());
        out.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        padded(out, kept);
        option(out, 2, &(direction as u32 | reception(frame) << 2).to_le_bytes());
        end_of_options(out);
    });
}

/// What became of an interface's frames between two times.
pub(super) fn put_statistics(
    out: &mut Vec<u8>,
    interface: u32,
    (begin_us, end_us): (u64, u64),
    statistics: Statistics,
) {
    block(out, INTERFACE_STATISTICS, |out| {
        out.extend_from_slice(&interface.to_le_bytes());
        put_time(out, end_us);
        for (code, time) in [(2, begin_us), (3, end_us)] {
            let mut value = Vec::with_capacity(8);
            put_time(&mut value, time);
            option(out, code, &value);
        }
        let Statistics { received, accepted, dropped } = statistics;
        for (code, count) in
            [(4, received), (5, dropped), (6, accepted), (8, accepted.saturating_sub(dropped))]
        {
            option(out, code, &count.to_le_bytes());
        }
        end_of_options(out);
    });
}

/// How a frame is addressed: `epb_flags`, bits 2 to 4.
fn reception(frame: &[u8]) -> u32 {
    match frame.get(..6) {
        Some([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => 3,
        Some([first, ..]) if first & 1 != 0 => 2,
        Some(_) => 1,
        None => 0,
    }
}

/// High half first, as the format has it.
fn put_time(out: &mut Vec<u8>, unix_us: u64) {
    out.extend_from_slice(&((unix_us >> 32) as u32).to_le_bytes());
    out.extend_from_slice(&(unix_us as u32).to_le_bytes());
}

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = ((out.len() - begin + 4) as u32).to_le_bytes();
    out[begin + 4..begin + 8].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    padded(out, value);
}

fn end_of_options(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
}

fn padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
#[path = "pcapng_tests.rs"]
mod tests;
