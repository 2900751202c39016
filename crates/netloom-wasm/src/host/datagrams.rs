//! UDP sockets, and sockets for echo requests.

use netloom_core::flow::SocketId;
use netloom_core::host::SendError;
use netloom_core::interface::InterfaceId;

use super::connections::{NO_ROUTE, bind_code};
use crate::boundary::{octets, pointer, socket_address, with, with_machine};
use crate::streams::{OK, SECOND_ADDRESS, leave_id};

const NO_PORT: u32 = 3;
const TOO_LONG: u32 = 5;
const FULL: u32 = 6;
const ANY_INTERFACE: u32 = u32::MAX;

const fn socket(index: u32, generation: u32) -> SocketId {
    SocketId::from_parts(index, generation)
}

exports! {
    /// Opens a UDP socket on the address that begins the arena; 0 or why not. Words: index, generation, port. `interface` 2³² − 1 is any.
    fn open_udp(family: u32, port: u32, interface: u32, receive_bytes: u32) -> u32 {
        with(|instance| {
            let local = socket_address(&instance.arena, family, port);
            let interface = (interface != ANY_INTERFACE).then(|| InterfaceId::from_number(interface));
            let Some(host) = &mut instance.machine else { return NO_PORT };
            match host.open_udp(local, interface, receive_bytes as usize) {
                Ok((socket, port)) => {
                    leave_id(&mut instance.words, socket.to_parts());
                    instance.words[2] = port.into();
                    OK
                }
                Err(error) => bind_code(error),
            }
        })
    }

    /// Opens a socket for echo requests; 0, and words index, generation, identifier, or that none is free.
    fn open_ping(receive_bytes: u32) -> u32 {
        with(|instance| {
            let Some((socket, identifier)) = instance.machine.as_mut().and_then(|host| host.open_ping(receive_bytes as usize))
            else {
                return NO_PORT;
            };
            leave_id(&mut instance.words, socket.to_parts());
            instance.words[2] = identifier.into();
            OK
        })
    }

    /// Sends the datagram at byte 32 of the arena to the address at byte 16; 0 or why not. An echo request's port is its sequence number.
    fn send(now_us: f64, index: u32, generation: u32, family: u32, port: u32, bytes: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let target = socket_address(&instance.arena[SECOND_ADDRESS..], family, port);
            let data = instance.arena[2 * SECOND_ADDRESS..].get(..bytes as usize).unwrap_or_default();
            let Some(host) = &mut instance.machine else { return NO_ROUTE };
            match host.send(now, socket(index, generation), target, data) {
                Ok(()) => OK,
                Err(SendError::TooLong) => TOO_LONG,
                Err(SendError::NoRoute | SendError::Closed) => NO_ROUTE,
                Err(SendError::Full) => FULL,
            }
        })
    }

    /// The first datagram that was received and not taken: 1, words pointer, length, port and family of who sent it, the arena its address; or 0.
    fn peek_datagram(index: u32, generation: u32) -> u32 {
        with(|instance| {
            let Some(host) = &instance.machine else { return 0 };
            let Some((from, data)) = host.peek_datagram(socket(index, generation)) else { return 0 };
            let (family, octets) = octets(from.ip());
            instance.words[..4].copy_from_slice(&[
                pointer(data),
                data.len() as u32,
                from.port().into(),
                family.into(),
            ]);
            instance.arena[..16].copy_from_slice(&octets);
            1
        })
    }

    /// The first datagram is done with.
    fn take_datagram(index: u32, generation: u32) {
        with_machine((), |host| host.take_datagram(socket(index, generation)));
    }

    /// Closes a socket of either kind.
    fn close_socket(index: u32, generation: u32) {
        with_machine((), |host| host.close_socket(socket(index, generation)));
    }
}
