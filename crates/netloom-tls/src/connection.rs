//! One guest's connection: records in, plaintext out, and the other way round.

use std::sync::{Arc, OnceLock};

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, WriteTraffic,
};
use rustls::{AlertDescription, ServerConfig};

use crate::UnixSeconds;
use crate::plain_hello::{self, First};
use crate::terminator::Clock;

/// Bytes of records that wait for their rest: rustls refuses larger records and longer handshakes, so that no more are ever due.
const MAX_INCOMING_BYTES: usize = 128 * 1024;

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// The guest has not installed the authority's certificate, or checks against a pinned one.
    #[error("the guest does not trust the certificate: install the authority's ({0:?})")]
    Untrusted(AlertDescription),
    /// What arrived is not TLS, or breaks its rules.
    #[error("TLS failed: {0}")]
    Protocol(rustls::Error),
    /// More arrived than one message can have.
    #[error("TLS failed: a message has more than {MAX_INCOMING_BYTES} bytes")]
    TooLong,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing can be written yet.
    Handshaking,
    /// Both ways are open.
    Open,
    /// The guest has said that it sends no more.
    PeerClosed,
}

/// A guest's connection.
pub struct Connection {
    tls: UnbufferedServerConnection,
    named: Arc<OnceLock<String>>,
    clock: Arc<Clock>,
    /// Whether the client's first record is not there yet.
    begins: bool,
    /// Whether the answer to the first record has its messages apart.
    apart: bool,
    incoming: Vec<u8>,
    plaintext: Vec<u8>,
    outgoing: Vec<u8>,
    state: State,
    error: Option<TlsError>,
}

impl Connection {
    /// `named` is told the name of the server by the configuration's resolver.
    pub(crate) fn new(
        config: ServerConfig,
        clock: Arc<Clock>,
        named: Arc<OnceLock<String>>,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: UnbufferedServerConnection::new(Arc::new(config))?,
            named,
            clock,
            begins: true,
            apart: false,
            incoming: Vec::new(),
            plaintext: Vec::new(),
            outgoing: Vec::new(),
            state: State::Handshaking,
            error: None,
        })
    }

    /// Takes what arrived from the guest. Whatever comes of it, [`take_outgoing`](Self::take_outgoing) may hold something for the guest: of a failure,
    /// the alert that tells it.
    ///
    /// # Errors
    ///
    /// [`TlsError`], at this call and all later ones.
    pub fn handle_records(&mut self, bytes: &[u8], now: UnixSeconds) -> Result<(), TlsError> {
        self.clock.set(now);
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        if self.incoming.len() + bytes.len() > MAX_INCOMING_BYTES {
            return Err(self.fail(TlsError::TooLong));
        }
        self.incoming.extend_from_slice(bytes);
        if self.begins {
            match plain_hello::look(&self.incoming) {
                First::Incomplete => return Ok(()),
                First::Usual => {}
                First::Completed(records) => (self.incoming, self.apart) = (records, true),
            }
            self.begins = false;
        }
        self.process(|_, _| Ok(0)).map_err(|error| self.fail(error))?;
        if core::mem::take(&mut self.apart) {
            // In the clear, as all of the answer is.
            self.outgoing = plain_hello::apart(&self.outgoing);
        }
        if self.incoming.is_empty() {
            // An idle connection holds no memory.
            self.incoming = Vec::new();
        }
        Ok(())
    }

    /// Encrypts for the guest, into [`take_outgoing`](Self::take_outgoing).
    ///
    /// # Errors
    ///
    /// [`TlsError`] if the connection has failed; before the end of the handshake there is nobody to write to, which is one of
    /// [`TlsError::Protocol`].
    pub fn write(&mut self, plaintext: &[u8]) -> Result<(), TlsError> {
        if self.state == State::Handshaking {
            return Err(TlsError::Protocol(rustls::Error::HandshakeNotComplete));
        }
        self.process(|traffic, out| traffic.encrypt(plaintext, out))
    }

    /// Says that nothing more will be written (close_notify, RFC 8446 6.1), into [`take_outgoing`](Self::take_outgoing).
    pub fn finish(&mut self) {
        if self.state != State::Handshaking && self.error.is_none() {
            // Without a connection there is nobody to be told.
            let _ = self.process(|traffic, out| traffic.queue_close_notify(out));
        }
    }

    /// What the guest has sent, decrypted, since it was last asked for.
    pub fn take_plaintext(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.plaintext)
    }

    /// Records for the guest since they were last asked for.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.outgoing)
    }

    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The server that the guest named, once it has.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.named.get().map(String::as_str)
    }

    fn fail(&mut self, error: TlsError) -> TlsError {
        let answered =
            matches!(&error, TlsError::Protocol(error) if !matches!(error, rustls::Error::AlertReceived(_)));
        // An alert, which is all that rustls may be asked for now.
        if answered
            && let Ok(ConnectionState::EncodeTlsData(mut data)) =
                self.tls.process_tls_records(&mut self.incoming).state
        {
            encode(&mut data, &mut self.outgoing);
        }
        self.incoming = Vec::new();
        self.error = Some(error.clone());
        error
    }

    /// Has rustls work through what has arrived; `write` is called once when it can be written to the guest.
    fn process(
        &mut self,
        write: impl Fn(&mut WriteTraffic<'_, ServerConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), TlsError> {
        let Self { tls, incoming, plaintext, outgoing, state, .. } = self;
        let mut consumed = 0;
        let result = loop {
            let status = tls.process_tls_records(&mut incoming[consumed..]);
            let mut over = None;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => plaintext.extend_from_slice(record.payload),
                            Err(error) => over = Some(Err(error)),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    if !encode(&mut data, outgoing) {
                        over = Some(Err(rustls::Error::General("nothing to encode".into())));
                    }
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    if *state == State::Handshaking {
                        *state = State::Open;
                    }
                    let written = fill(outgoing, |room| match write(&mut traffic, room) {
                        Err(EncryptError::InsufficientSize(size)) => Err(Some(size)),
                        other => other.map_err(|_| None),
                    });
                    over = Some(if written { Ok(()) } else { Err(rustls::Error::EncryptError) });
                }
                Ok(ConnectionState::PeerClosed) => *state = State::PeerClosed,
                Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => over = Some(Ok(())),
                // Early data is not offered.
                Ok(_) => over = Some(Err(rustls::Error::General("an unknown state".into()))),
                Err(error) => over = Some(Err(error)),
            }
            consumed += status.discard;
            if let Some(result) = over {
                break result;
            }
        };
        incoming.drain(..consumed);
        result.map_err(described)
    }
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("named", &self.named)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

fn encode(data: &mut EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) -> bool {
    fill(out, |room| match data.encode(room) {
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size)),
        other => other.map_err(|_| None),
    })
}

/// Appends what `encode` writes, with as much room as it asks for; false if it fails otherwise.
fn fill(
    out: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> bool {
    let start = out.len();
    let mut room = 0;
    loop {
        out.resize(start + room, 0);
        match encode(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return true;
            }
            Err(Some(size)) if size.required_size > room => room = size.required_size,
            Err(_) => {
                out.truncate(start);
                return false;
            }
        }
    }
}

fn described(error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown),
        ) => TlsError::Untrusted(alert),
        other => TlsError::Protocol(other),
    }
}
