//! What all exported functions share: the one instance, and how values cross.

use core::cell::RefCell;
use std::collections::BTreeMap;

use netloom_tls::{Authority, Connection, Terminator};

/// Size of the arena: several records, or an authority as text.
pub(crate) const ARENA_BYTES: usize = 64 * 1024;

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
        pub extern "C" fn $name($($argument: $kind),*) $(-> $out)? $body
    )+};
}

thread_local! {
    static INSTANCE: RefCell<Instance> = RefCell::new(Instance::new());
}

pub(crate) struct Instance {
    pub(crate) served: Option<Served>,
    pub(crate) arena: Box<[u8]>,
    /// What the latest call left.
    pub(crate) left: Vec<u8>,
}

/// An authority, and the connections that its certificates are shown on.
pub(crate) struct Served {
    pub(crate) authority: Authority,
    pub(crate) terminator: Terminator,
    pub(crate) connections: BTreeMap<u32, Connection>,
    /// The number of the latest connection.
    pub(crate) latest: u32,
}

impl Instance {
    fn new() -> Self {
        Self { served: None, arena: vec![0; ARENA_BYTES].into_boxed_slice(), left: Vec::new() }
    }

    /// Bytes that the caller has put at the arena's beginning.
    pub(crate) fn bytes(&self, length: u32) -> &[u8] {
        &self.arena[..(length as usize).min(ARENA_BYTES)]
    }

    /// 1 where it went well, and else 0 with why left.
    pub(crate) fn outcome<T, E: core::fmt::Display>(&mut self, result: Result<T, E>) -> u32 {
        match result {
            Ok(_) => 1,
            Err(error) => {
                self.left = error.to_string().into_bytes();
                0
            }
        }
    }
}

/// Runs a call on the instance.
pub(crate) fn with<T>(call: impl FnOnce(&mut Instance) -> T) -> T {
    INSTANCE.with_borrow_mut(call)
}
