//! What a script knows of one connection: the numbers its positions count from, and what must hold of every segment of ours.

use netloom_core::FlowId;

use super::wire::{Clocks, Origins, Sent, stream};
use crate::app::Role;
use crate::packet::flag;

/// What a script knows of one connection.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    pub(super) origins: Origins,
    pub(super) clocks: Clocks,
    pub(super) flow: Option<FlowId>,
    /// The latest SYN of the guest, on which a new flow's positions count.
    pub(super) guest_syn: u32,
    pub(super) data_told: u64,
    pub(super) taken: u64,
    pub(super) written: u64,
    pub(super) guest_scales: bool,
    pub(super) scale: Option<u8>,
    /// The highest right edge that our windows have told.
    pub(super) edge: i64,
    /// The last frame that left.
    pub(super) last: Vec<u8>,
    /// The last packet that arrived.
    pub(super) arrived: Vec<u8>,
}

impl Conversation {
    pub(super) fn new(origins: Origins) -> Self {
        Self {
            origins,
            clocks: Clocks { ours: None, latest: 0, theirs: 0, theirs_now: 0 },
            flow: None,
            guest_syn: origins.theirs,
            data_told: 0,
            taken: 0,
            written: 0,
            guest_scales: false,
            scale: None,
            edge: 0,
            last: Vec::new(),
            arrived: Vec::new(),
        }
    }

    /// What is wrong about a segment of ours, whatever the script says.
    pub(super) fn judge(&mut self, sent: &Sent) -> Option<String> {
        if sent.payload != stream(Role::Server, sent.position(), sent.payload.len()) {
            return Some(format!("its bytes are not those of its position: {sent}"));
        }
        if let Some(value) = sent.timestamp() {
            self.clocks.ours.get_or_insert(value);
            self.clocks.latest = value;
        }
        if sent.flags & flag::SYN > 0 {
            self.scale = sent.scale();
        }
        if sent.flags & (flag::RST | flag::ACK) == flag::ACK {
            let scale =
                if sent.flags & flag::SYN > 0 || !self.guest_scales { 0 } else { self.scale.unwrap_or(0) };
            let edge = sent.acknowledges() + (i64::from(sent.window) << scale);
            if edge < self.edge {
                return Some(format!("the window's right edge moves back from {} to {edge}", self.edge));
            }
            self.edge = edge;
        }
        None
    }
}
