//! What all exported functions share: the one instance, and how values cross.

use core::cell::RefCell;
use core::mem::ManuallyDrop;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::VecDeque;

#[cfg(not(feature = "lan"))]
pub(crate) use crate::host::{Event, Machine};
#[cfg(feature = "lan")]
pub(crate) use crate::lan::{Event, Machine};
use netloom_core::{Instant, MAX_FRAME_BYTES};

/// Size of the arena: a frame and its addresses fit, and a write is worth its call.
pub(crate) const ARENA_BYTES: usize = 128 * 1024;
/// How many words a call may leave.
pub(crate) const WORDS: usize = 4096;

const _: () = assert!(ARENA_BYTES >= MAX_FRAME_BYTES + 64);

/// Exports functions under their own names.
///
/// `no_mangle` is unsafe since two functions of one name would be undefined; the linker of a module refuses them. Outside of WebAssembly the
/// names stay mangled, because some are libc's.
macro_rules! exports {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $out:ty)? $body:block)+) => {$(
        $(#[$doc])*
        #[cfg_attr(
            target_arch = "wasm32",
            expect(unsafe_code, reason = "the name under which the module exports it"),
            unsafe(no_mangle)
        )]
        #[allow(clippy::too_many_arguments, reason = "a call is cheaper than a record in memory")]
        pub extern "C" fn $name($($argument: $kind),*) $(-> $out)? $body
    )+};
}

thread_local! {
    static INSTANCE: RefCell<Instance> = RefCell::new(Instance::new());
}

pub(crate) struct Instance {
    /// `None` until it was started. It ends with the instance's memory: what would free its parts one by one is not in the module.
    pub(crate) machine: Option<ManuallyDrop<Machine>>,
    pub(crate) arena: Box<[u8]>,
    pub(crate) words: Box<[u32]>,
    /// What happened and was not told yet. One event per segment, so that what arrived apart can be handed on apart.
    pub(crate) events: VecDeque<Event>,
    /// The latest instant that a call told.
    pub(crate) latest: Instant,
}

impl Instance {
    fn new() -> Self {
        Self {
            machine: None,
            arena: vec![0; ARENA_BYTES].into_boxed_slice(),
            words: vec![0; WORDS].into_boxed_slice(),
            events: VecDeque::new(),
            latest: Instant::ZERO,
        }
    }

    /// The instant of an argument. Clocks of pages step back at times; the machine's must not.
    pub(crate) fn at(&mut self, now_us: f64) -> Instant {
        self.latest = self.latest.max(Instant::from_us(now_us as u64));
        self.latest
    }
}

/// Runs a call on the instance.
pub(crate) fn with<T>(call: impl FnOnce(&mut Instance) -> T) -> T {
    INSTANCE.with_borrow_mut(call)
}

/// Runs a call on the machine; `otherwise` if there is none.
pub(crate) fn with_machine<T>(otherwise: T, call: impl FnOnce(&mut Machine) -> T) -> T {
    with(|instance| instance.machine.as_deref_mut().map_or(otherwise, call))
}

/// Runs a call on the machine at a time.
pub(crate) fn with_machine_at<T>(
    now_us: f64,
    otherwise: T,
    call: impl FnOnce(&mut Machine, Instant) -> T,
) -> T {
    with(|instance| {
        let now = instance.at(now_us);
        instance.machine.as_deref_mut().map_or(otherwise, |machine| call(machine, now))
    })
}

/// Where bytes are, as the caller counts.
pub(crate) fn pointer(bytes: &[u8]) -> u32 {
    bytes.as_ptr() as usize as u32
}

/// Writes an address to a place in the arena; its family.
pub(crate) fn leave_address(place: &mut [u8], address: IpAddr) -> u32 {
    let (family, octets) = octets(address);
    place[..16].copy_from_slice(&octets);
    family.into()
}

/// An address of 16 bytes in the arena: `family` is 4, which uses the first four of them, 6, or 0 for none.
pub(crate) fn address(bytes: &[u8], family: u32) -> Option<IpAddr> {
    let octets = bytes.first_chunk::<16>()?;
    match family {
        4 => Some(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into()),
        6 => Some(Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}

/// As [`address`], with a port; none is the unspecified address.
pub(crate) fn socket_address(bytes: &[u8], family: u32, port: u32) -> SocketAddr {
    SocketAddr::new(address(bytes, family).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port as u16)
}

/// The family of an address, and its 16 bytes.
pub(crate) fn octets(address: IpAddr) -> (u8, [u8; 16]) {
    match address {
        IpAddr::V4(v4) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&v4.octets());
            (4, octets)
        }
        IpAddr::V6(v6) => (6, v6.octets()),
    }
}
