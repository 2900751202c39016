//! Frames to send: header, mask, payload.

use super::{Opcode, apply_mask};

/// Appends an unfragmented frame. `mask` is for clients, and must then be unpredictable.
pub fn put_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    put_header(out, opcode, payload.len(), mask);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[start..], mask);
    }
}

/// Appends the header of an unfragmented frame, whose payload the caller appends, masked by `mask` if there is one.
pub fn put_header(out: &mut Vec<u8>, opcode: Opcode, payload_bytes: usize, mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.push(0x80 | opcode as u8);
    match payload_bytes {
        length @ ..=125 => out.push(masked | length as u8),
        length @ ..=0xffff => {
            out.push(masked | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if let Some(mask) = mask {
        out.extend_from_slice(&mask);
    }
}

/// Appends a close frame with a status code (section 7.4).
pub fn put_close(out: &mut Vec<u8>, code: u16, mask: Option<[u8; 4]>) {
    put_frame(out, Opcode::Close, &code.to_be_bytes(), mask);
}
