//! Streams of gigabytes in a script, so that what follows stands far from the initial sequence numbers.

use netloom_core::{Duration, Event, FlowId};

use super::run::Stage;
use super::wire::{Origins, frame};
use crate::packet::{ETHERNET_BYTES, Packet, flag, read};

/// Payload of each segment of the guest, and of each write of ours.
const SEGMENT_BYTES: usize = 65_000;
/// Where the sequence number stands in a frame; the acknowledgment follows it.
const SEQ_AT: usize = ETHERNET_BYTES + 20 + 4;
/// Longer than any acknowledgment may wait.
const SETTLED: Duration = Duration::from_millis(100);

impl Stage {
    /// Moves at least so many bytes each way over a trusted port, whose frames need no checksums.
    pub(super) fn carry(&mut self, flow: FlowId, bytes: u64) -> Result<(), String> {
        let pair = self.current;
        let before = self.conversation(pair).clone();
        let mut next = Origins {
            ours: before.origins.ours.wrapping_add(1 + before.written as u32),
            theirs: before.origins.theirs.wrapping_add(1 + before.taken as u32),
        };
        let mut header = [pair.guest_port.to_be_bytes(), pair.target.port().to_be_bytes()].concat();
        header.extend([0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, flag::ACK, 0xff, 0xff, 0, 0, 0, 0]);
        let bare = frame(pair.target, 6, &header);
        let full = frame(pair.target, 6, &[&header[..], &[0; SEGMENT_BYTES]].concat());
        let content = vec![0; SEGMENT_BYTES];
        let mut acknowledged = next.theirs;
        let (mut carried, mut rounds) = (0_u64, 0_u64);
        loop {
            // At least one segment without data at the end acknowledges all of ours.
            let last = carried >= bytes;
            let mut segment = if last { bare.clone() } else { full.clone() };
            segment[SEQ_AT..SEQ_AT + 4].copy_from_slice(&next.theirs.to_be_bytes());
            segment[SEQ_AT + 4..SEQ_AT + 8].copy_from_slice(&next.ours.to_be_bytes());
            self.lan.handle_frame(self.now, self.port, &segment);
            if last {
                self.now += SETTLED;
                self.lan.handle_timeout(self.now);
            } else {
                next.theirs = next.theirs.wrapping_add(SEGMENT_BYTES as u32);
                let written = self.lan.write(self.now, flow, &content);
                if written != SEGMENT_BYTES {
                    return Err(format!("after {carried} bytes write took {written}"));
                }
                carried += SEGMENT_BYTES as u64;
            }
            while let Some(event) = self.lan.poll_event() {
                if !matches!(event, Event::Data { .. }) {
                    return Err(format!("after {carried} bytes: {event:?}"));
                }
            }
            let held = self.lan.peek(flow).iter().map(|part| part.len()).sum();
            self.lan.take(self.now, flow, held);
            while let Some(port) = self.lan.poll_port() {
                while let Some(frame) = self.lan.poll_frame(self.now, port) {
                    let Packet::Tcp(segment) = read(frame, false)? else { continue };
                    if segment.seq != next.ours || segment.flags & !flag::PSH != flag::ACK {
                        return Err(format!("after {carried} bytes not at {}: {}", next.ours, segment.seq));
                    }
                    next.ours = next.ours.wrapping_add(segment.payload.len() as u32);
                    acknowledged = segment.ack.unwrap_or(acknowledged);
                }
            }
            if last && acknowledged == next.theirs {
                break;
            }
            rounds += 1;
            if rounds > bytes / SEGMENT_BYTES as u64 + 100 {
                return Err("the stream does not come to rest".into());
            }
        }
        let sent = before.origins.ours.wrapping_add(1 + (before.written + carried) as u32);
        if next.ours != sent {
            return Err(format!("of {carried} bytes not all were sent: {next:?} {sent}"));
        }
        let conversation = self.conversation(pair);
        conversation.origins =
            Origins { ours: next.ours.wrapping_sub(1), theirs: next.theirs.wrapping_sub(1) };
        (conversation.data_told, conversation.taken, conversation.written) = (0, 0, 0);
        // Its window is not known, but there was one.
        conversation.edge = 1;
        Ok(())
    }
}
