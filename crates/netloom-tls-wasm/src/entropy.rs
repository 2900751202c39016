//! What keys and nonces are made of: the page's 32 bytes, drawn out.
//!
//! ring asks the `getrandom` crate, which in a page would import the page's source. Here it asks us instead, by its `custom` feature; that ring
//! offers its generator on this target is due to the flag that `xtask/src/wasm.rs` builds with.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub(crate) use module::seed;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod module {
    use core::cell::RefCell;

    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

    thread_local! {
        static SOURCE: RefCell<Option<ChaCha20Rng>> = const { RefCell::new(None) };
    }

    pub(crate) fn seed(seed: [u8; 32]) {
        SOURCE.set(Some(ChaCha20Rng::from_seed(seed)));
    }

    fn fill(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        SOURCE.with_borrow_mut(|source| {
            let generator = source.as_mut().ok_or(getrandom::Error::UNSUPPORTED)?;
            generator.fill_bytes(bytes);
            // What was drawn cannot be found out from what is kept.
            let mut next = [0; 32];
            generator.fill_bytes(&mut next);
            *generator = ChaCha20Rng::from_seed(next);
            Ok(())
        })
    }

    getrandom::register_custom_getrandom!(fill);
}

/// Elsewhere, the operating system has its own.
#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
pub(crate) fn seed(_: [u8; 32]) {}
