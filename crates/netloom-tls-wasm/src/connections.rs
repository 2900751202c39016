//! Connections of guests.

use netloom_tls::{Connection, State};

use crate::boundary::{Instance, with};

/// Runs a call on a connection; 0 if there is none.
fn with_connection(number: u32, call: impl FnOnce(&mut Connection) -> u32) -> u32 {
    with(|instance| connection(instance, number).map_or(0, call))
}

fn connection(instance: &mut Instance, number: u32) -> Option<&mut Connection> {
    instance.served.as_mut()?.connections.get_mut(&number)
}

/// Leaves bytes of a connection; how many.
fn leave(number: u32, take: impl FnOnce(&mut Connection) -> Vec<u8>) -> u32 {
    with(|instance| {
        instance.left = connection(instance, number).map(take).unwrap_or_default();
        instance.left.len() as u32
    })
}

exports! {
    /// Takes a connection to the host that the arena names; its number, or 0 with why left.
    fn open(now: f64, host_bytes: u32) -> u32 {
        with(|instance| {
            let host = String::from_utf8_lossy(instance.bytes(host_bytes)).into_owned();
            let Some(served) = &mut instance.served else { return 0 };
            match served.terminator.open(&host, now as u64) {
                Ok(connection) => {
                    served.latest += 1;
                    served.connections.insert(served.latest, connection);
                    served.latest
                }
                Err(error) => instance.outcome(Err::<(), _>(error)),
            }
        })
    }

    /// Takes records of the guest from the arena; 0 if the connection has failed, with why left. Either way there may be records to send.
    fn handle_records(number: u32, now: f64, bytes: u32) -> u32 {
        with(|instance| {
            let records = instance.bytes(bytes).to_vec();
            instance.left.clear();
            let Some(connection) = connection(instance, number) else { return 0 };
            let result = connection.handle_records(&records, now as u64);
            instance.outcome(result)
        })
    }

    /// Leaves what the guest has sent; how many bytes.
    fn take_plaintext(number: u32) -> u32 {
        leave(number, Connection::take_plaintext)
    }

    /// Leaves records for the guest; how many bytes.
    fn take_outgoing(number: u32) -> u32 {
        leave(number, Connection::take_outgoing)
    }

    /// Encrypts what is in the arena; 0 if the connection has failed, with why left.
    fn write(number: u32, bytes: u32) -> u32 {
        with(|instance| {
            let plaintext = instance.bytes(bytes).to_vec();
            instance.left.clear();
            let Some(connection) = connection(instance, number) else { return 0 };
            let result = connection.write(&plaintext);
            instance.outcome(result)
        })
    }

    /// Says that nothing follows.
    fn finish(number: u32) {
        with_connection(number, |connection| {
            connection.finish();
            0
        });
    }

    /// Forgets a connection.
    fn close(number: u32) {
        with(|instance| instance.served.as_mut().map(|served| served.connections.remove(&number)));
    }

    /// How far a connection is: 0 in its handshake, 1 open, 2 when the guest sends no more.
    fn state(number: u32) -> u32 {
        with_connection(number, |connection| match connection.state() {
            State::Handshaking => 0,
            State::Open => 1,
            State::PeerClosed => 2,
        })
    }

    /// Leaves the name of the server that the guest asked for; 0 if it asked for none.
    fn server_name(number: u32) -> u32 {
        leave(number, |connection| connection.server_name().unwrap_or_default().into())
    }
}
