//! A client of Wisp 1.2 that keeps to its credit: one WebSocket, many streams, sends ready-made messages and counts what comes.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::wire::{self, Event, Incoming};
use crate::websocket::{Handshake, Opcode, ask, encode};

/// How long an answer may take before the run is given up.
pub const PATIENCE: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 128 * 1024;
/// Bytes and messages of one write.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_MESSAGES: usize = 512;

/// What is known of a stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// DATA packets that may be sent.
    pub credit: u32,
    /// Bytes that arrived.
    pub received: u64,
    /// Why it ended, if it has.
    pub closed: Option<u8>,
    /// Its DATA message, ready to be sent again and again.
    message: Vec<u8>,
}

impl Stream {
    fn may_send(&self) -> bool {
        self.credit > 0 && self.closed.is_none() && !self.message.is_empty()
    }
}

/// A connection. Streams are numbered from 1 as they are opened.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    incoming: Incoming,
    buffer: Box<[u8]>,
    /// Credit of new streams; CONTINUE of stream 0 tells it.
    first_credit: Option<u32>,
    streams: Vec<Stream>,
    /// Packets without data, whole messages; and how much of them was sent.
    out: Vec<u8>,
    out_sent: usize,
    /// The message that was cut, its stream's index, and where.
    cut: Option<(usize, usize)>,
    turn: usize,
    sent: u64,
    mask: u32,
    ended: bool,
}

impl Client {
    /// Connects and waits for the first credit. From here on nothing blocks.
    ///
    /// # Errors
    /// When the server does not greet as version 1.2 has it.
    pub fn connect(address: SocketAddr, path: &str) -> Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let answer = ask(&mut socket, &Handshake::to(path))?;
        ensure!(answer.status == 101, "the upgrade of {path} was refused: {}", answer.head);
        socket.set_nonblocking(true)?;
        let mut client = Self {
            socket,
            incoming: Incoming::default(),
            buffer: vec![0; READ_BYTES].into(),
            first_credit: None,
            streams: Vec::new(),
            out: Vec::new(),
            out_sent: 0,
            cut: None,
            turn: 0,
            sent: 0,
            mask: 0x9e37_79b9,
            ended: false,
        };
        client.take(answer.rest.len(), &answer.rest);
        client.wait_until(|client| client.first_credit.is_some()).context("no CONTINUE of stream 0")?;
        Ok(client)
    }

    /// The streams so far, in order.
    #[must_use]
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Bytes that arrived on all streams.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.streams.iter().map(|stream| stream.received).sum()
    }

    /// Opens a TCP stream to a port of this host; gives its index.
    pub fn open(&mut self, port: u16) -> usize {
        let stream = Stream { credit: self.first_credit.unwrap_or_default(), ..Stream::default() };
        self.streams.push(stream);
        let index = self.streams.len() - 1;
        self.put(wire::CONNECT, index, &wire::connect(port, "127.0.0.1"));
        index
    }

    /// Sends a small DATA packet behind everything that waits. It is the caller's to have credit.
    pub fn send(&mut self, index: usize, payload: &[u8]) {
        self.streams[index].credit -= 1;
        self.put(wire::DATA, index, payload);
    }

    /// Ends a stream.
    pub fn close(&mut self, index: usize) {
        self.put(wire::CLOSE, index, &[2]);
    }

    fn put(&mut self, kind: u8, index: usize, payload: &[u8]) {
        self.mask = self.mask.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        wire::put(&mut self.out, self.mask, kind, index as u32 + 1, payload);
    }

    /// DATA packets that [`Self::write`] has begun to send in bulk.
    #[must_use]
    pub const fn sent_messages(&self) -> u64 {
        self.sent
    }

    /// Makes the DATA packet of each stream from this one on one of this payload.
    pub fn prepare_from(&mut self, first: usize, payload: &[u8]) {
        for (index, stream) in self.streams.iter_mut().enumerate().skip(first) {
            stream.message.clear();
            self.mask = self.mask.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            wire::put(&mut stream.message, self.mask, wire::DATA, index as u32 + 1, payload);
        }
    }

    /// Bytes of single packets that wait to be sent.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.out.len() - self.out_sent
    }

    /// Whether a message waits to be sent, or with `bulk` could be.
    #[must_use]
    pub fn wants_write(&self, bulk: bool) -> bool {
        !self.out.is_empty() || self.cut.is_some() || bulk && self.streams.iter().any(Stream::may_send)
    }

    /// Sends what waits, and with `bulk` as many prepared messages as there is credit for, streams in turn; false if it would block.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn write(&mut self, bulk: bool) -> io::Result<bool> {
        while self.cut.is_none() && !self.out.is_empty() {
            match self.socket.write(&self.out[self.out_sent..]) {
                Ok(written) => self.out_sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if self.out_sent == self.out.len() {
                self.out.clear();
                self.out_sent = 0;
            }
        }
        if self.cut.is_none() && !bulk {
            return Ok(true);
        }
        self.write_bulk(bulk)
    }

    fn write_bulk(&mut self, bulk: bool) -> io::Result<bool> {
        let mut batch: Vec<usize> = Vec::with_capacity(BATCH_MESSAGES);
        let mut bytes = 0;
        let cut = self.cut.take();
        batch.extend(cut.map(|(index, _)| index));
        let offset = cut.map_or(0, |(_, offset)| offset);
        let mut passed_over = 0;
        while bulk && bytes < BATCH_BYTES && batch.len() < BATCH_MESSAGES && passed_over < self.streams.len()
        {
            self.turn = (self.turn + 1) % self.streams.len();
            let stream = &mut self.streams[self.turn];
            if !stream.may_send() {
                passed_over += 1;
                continue;
            }
            passed_over = 0;
            stream.credit -= 1;
            self.sent += 1;
            bytes += stream.message.len();
            batch.push(self.turn);
        }
        if batch.is_empty() {
            return Ok(true);
        }
        let slices: Vec<IoSlice<'_>> = batch
            .iter()
            .enumerate()
            .map(|(at, index)| {
                IoSlice::new(&self.streams[*index].message[if at == 0 { offset } else { 0 }..])
            })
            .collect();
        let mut written = match self.socket.write_vectored(&slices) {
            Ok(written) => written + offset,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => offset,
            Err(error) => return Err(error),
        };
        for (at, index) in batch.iter().enumerate() {
            let length = self.streams[*index].message.len();
            if written >= length {
                written -= length;
                continue;
            }
            if written > 0 {
                self.cut = Some((*index, written));
            }
            // What was not begun is not sent.
            for index in &batch[at + usize::from(written > 0)..] {
                self.streams[*index].credit += 1;
                self.sent -= 1;
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads once; gives the number of bytes, 0 if there are none.
    ///
    /// # Errors
    /// When the connection breaks or ends.
    pub fn read(&mut self) -> io::Result<usize> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.socket.read(&mut buffer);
        if let Ok(length) = read {
            self.take(length, &buffer);
        }
        self.buffer = buffer;
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if self.ended => Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(length) => Ok(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, length: usize, bytes: &[u8]) {
        let Self { incoming, streams, first_credit, out, mask, ended, .. } = self;
        incoming.feed(&bytes[..length], &mut |event| match event {
            Event::Data(stream, bytes) => {
                if let Some(stream) = at(streams, stream) {
                    stream.received += bytes.len() as u64;
                }
            }
            Event::Continue(0, credit) => *first_credit = first_credit.or(Some(credit)),
            Event::Continue(stream, credit) => {
                if let Some(stream) = at(streams, stream) {
                    stream.credit = credit;
                }
            }
            Event::Close(stream, reason) => {
                if let Some(stream) = at(streams, stream) {
                    stream.closed = Some(reason);
                }
            }
            Event::Ping(payload) => encode(out, true, Opcode::Pong, *mask, payload),
            Event::End => *ended = true,
        });
    }

    /// Sends what waits and reads until `done` holds.
    ///
    /// # Errors
    /// When nothing arrives for long.
    pub fn wait_until(&mut self, done: impl Fn(&Self) -> bool) -> Result<()> {
        loop {
            let sent = self.write(false)?;
            if done(self) {
                return Ok(());
            }
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, !sent);
            ensure!(self.wait(flags, PATIENCE)?, "the server stays silent");
            self.read()?;
        }
    }

    /// Waits for the socket; false when `patience` is over.
    ///
    /// # Errors
    /// When the kernel refuses to.
    pub fn wait(&self, flags: PollFlags, patience: Duration) -> Result<bool> {
        let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), flags)];
        Ok(poll(&mut fds, Some(&Timespec::try_from(patience)?))? > 0)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn at(streams: &mut [Stream], id: u32) -> Option<&mut Stream> {
    streams.get_mut((id as usize).checked_sub(1)?)
}
