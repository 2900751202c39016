//! Flows: what guests open, and connections to guests.

use netloom_core::{ConnectError, Protocol, Refusal};

use crate::boundary::{leave_address, pointer, socket_address, with, with_machine_at};
use crate::streams::{OK, SECOND_ADDRESS, flow, flow_parts, leave_addresses, leave_id};

const NO_PORT: u32 = 3;
const NO_ROUTE: u32 = 4;

exports! {
    /// What a flow is: 1 and words protocol (0 TCP, 1 UDP, 2 ping), port number, ports and families of the guest's end and of the dialled one; the
    /// arena: both addresses, and behind them the guest's MAC address. 0 if it is over, or its guest is not known.
    fn describe(index: u32, generation: u32) -> u32 {
        with(|instance| {
            let Some(lan) = &instance.machine else { return 0 };
            let id = flow(index, generation);
            let (Some((protocol, source, destination)), Some(guest)) = (lan.describe(id), lan.guest_of_flow(id)) else {
                return 0;
            };
            let protocol = match protocol {
                Protocol::Tcp => 0,
                Protocol::Udp => 1,
                Protocol::Ping => 2,
            };
            let (front, back) = instance.arena.split_at_mut(SECOND_ADDRESS);
            instance.words[..6].copy_from_slice(&[
                protocol,
                guest.port.number(),
                source.port().into(),
                destination.port().into(),
                leave_address(front, source.ip()),
                leave_address(back, destination.ip()),
            ]);
            back[SECOND_ADDRESS..][..6].copy_from_slice(&guest.mac.0);
            1
        })
    }

    /// Answers the guest of a TCP flow, since its target has answered.
    fn accept_flow(now_us: f64, index: u32, generation: u32) {
        with_machine_at(now_us, (), |lan, now| lan.accept(now, flow(index, generation)));
    }

    /// Refuses a flow: 0 refused, 1 unreachable, 2 timeout, 3 denied.
    fn refuse(now_us: f64, index: u32, generation: u32, why: u32) {
        let why = match why {
            0 => Refusal::Refused,
            1 => Refusal::Unreachable,
            2 => Refusal::Timeout,
            _ => Refusal::Denied,
        };
        with_machine_at(now_us, (), |lan, now| lan.refuse(now, flow(index, generation), why));
    }

    /// Opens a connection from the gateway to the address that begins the arena; 0, and words as of a host's `accept`, or why not.
    fn connect(now_us: f64, family: u32, port: u32) -> u32 {
        with(|instance| {
            let now = instance.at(now_us);
            let target = socket_address(&instance.arena, family, port);
            let Some(lan) = &mut instance.machine else { return NO_ROUTE };
            match lan.connect(now, target) {
                Ok(id) => {
                    leave_id(&mut instance.words, flow_parts(id));
                    leave_addresses(instance, id);
                    OK
                }
                // Only flows whose source the caller chooses can have a wrong one, or one in use.
                Err(ConnectError::NotOnLan | ConnectError::BadSource) => NO_ROUTE,
                Err(ConnectError::NoPort | ConnectError::InUse | ConnectError::TooMany) => NO_PORT,
            }
        })
    }

    /// The first datagram of a flow that was not taken: 1 and words pointer and length, or 0. `take` is done with it.
    fn peek_datagram(index: u32, generation: u32) -> u32 {
        with(|instance| {
            let Some(lan) = &instance.machine else { return 0 };
            let Some(datagram) = lan.peek_datagram(flow(index, generation)) else { return 0 };
            instance.words[0] = pointer(datagram);
            instance.words[1] = datagram.len() as u32;
            1
        })
    }
}
