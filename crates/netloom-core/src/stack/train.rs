//! Trains: what a flow sends in one go through a port that takes no frames larger than the wire's. The engine's work is done once; each
//! frame is cut from the send buffer when the port asks for it.

use super::flows::{Body, Flow};
use super::link::Link;
use super::{Role, Stack};
use crate::flow::{FlowId, Guest};
use crate::port::PortId;
use crate::tcp::{SeqNumber, Transmit};
use crate::wire::segmentation::{Part, Template};

/// What is left of a larger segment.
pub(super) struct Train {
    flow: FlowId,
    guest: Guest,
    template: Template,
    /// Where the next part begins.
    seq: SeqNumber,
    /// Bytes left.
    left_bytes: usize,
    /// Bytes of each part but the last.
    part_bytes: usize,
    /// Control bits of the last.
    flags: u8,
}

impl Train {
    /// What follows the first part of a larger segment, which stands in `frame` already; `None` if nothing does.
    pub(super) fn new(
        flow: FlowId,
        guest: Guest,
        whole: &Transmit,
        part_bytes: usize,
        frame: &[u8],
        checksums: bool,
    ) -> Option<Self> {
        let left_bytes = whole.payload_len().checked_sub(part_bytes).filter(|left| *left > 0)?;
        let template = Template::new(frame, checksums)?;
        let (seq, flags) = (whole.seq() + part_bytes, whole.flags().bits());
        Some(Self { flow, guest, template, seq, left_bytes, part_bytes, flags })
    }
}

impl<R: Role> Stack<R> {
    /// Writes the next frame of a port's train; false if there is none. What the peer has acknowledged unseen, or a flow that has ended or
    /// moved, ends it.
    pub(super) fn next_of_train(&mut self, port: PortId) -> bool {
        let Some(Some(Link { train: place, .. })) = self.links.get_mut(port.index()) else { return false };
        let Some(train) = place else { return false };
        let flow = self.flows.slot(train.flow.index);
        let flow = flow.filter(|flow| flow.id == train.flow && flow.guest == Some(train.guest));
        let Some(Flow { body: Body::Tcp(tcb), .. }) = flow else {
            *place = None;
            return false;
        };
        let length = train.part_bytes.min(train.left_bytes);
        let frame = &mut self.segment;
        frame.resize(train.template.head_bytes() + length, 0);
        let payload = &mut frame[train.template.head_bytes()..];
        let Some(payload_sum) = tcb.emit_part(train.seq, train.template.checksums(), payload) else {
            *place = None;
            return false;
        };
        train.left_bytes -= length;
        let last = train.left_bytes == 0;
        self.next_id = self.next_id.wrapping_add(1);
        let flags = if last { train.flags } else { 0 };
        train.template.write(Part { seq: train.seq.0, id: self.next_id as u16, flags, payload_sum }, frame);
        train.seq += length;
        if last {
            *place = None;
        }
        true
    }
}
