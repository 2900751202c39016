//! The instance's authority.

use core::fmt::Display;
use std::collections::BTreeMap;

use netloom_tls::{Authority, Terminator};

use crate::boundary::{Instance, Served, with};
use crate::entropy;
use crate::lifecycle::keep_panics;

/// Bytes of entropy before the text that an authority is made of.
const SEED_BYTES: u32 = 32;

/// Takes the seed that begins the arena, and makes the instance of the text behind.
fn begin<E: Display>(bytes: u32, make: impl FnOnce(&str) -> Result<Authority, E>) -> u32 {
    keep_panics();
    with(|instance| {
        let mut seed = [0; SEED_BYTES as usize];
        seed.copy_from_slice(instance.bytes(SEED_BYTES));
        instance.arena[..SEED_BYTES as usize].fill(0);
        entropy::seed(seed);
        let text =
            String::from_utf8_lossy(&instance.bytes(SEED_BYTES + bytes)[SEED_BYTES as usize..]).into_owned();
        // It may be a private key.
        instance.arena.fill(0);
        let served = make(&text).map_err(|error| error.to_string()).and_then(|authority| {
            let terminator = Terminator::new(authority.clone()).map_err(|error| error.to_string())?;
            instance.served = Some(Served { authority, terminator, connections: BTreeMap::new(), latest: 0 });
            Ok(())
        });
        instance.outcome(served)
    })
}

/// Leaves what the authority is as bytes; 0 if there is none.
fn leave(show: impl FnOnce(&Authority) -> Vec<u8>) -> u32 {
    with(|instance: &mut Instance| {
        let Some(served) = &instance.served else { return 0 };
        instance.left = show(&served.authority);
        1
    })
}

exports! {
    /// Begins with a new authority: in the arena 32 bytes of entropy, and then its name. 0 if that fails, with why left.
    fn generate(now: f64, name_bytes: u32) -> u32 {
        begin(name_bytes, |name| Authority::generate(name, now as u64))
    }

    /// Begins with an authority that was exported: in the arena 32 bytes of entropy, and then its certificate and key as PEM. 0 if that fails, with
    /// why left.
    fn import(now: f64, pem_bytes: u32) -> u32 {
        begin(pem_bytes, |pem| Authority::from_pem(pem, now as u64))
    }

    /// Leaves the authority's certificate and its private key, as PEM.
    fn export_pem() -> u32 {
        leave(|authority| authority.to_pem().into_bytes())
    }

    /// Leaves the authority's certificate, as PEM.
    fn certificate_pem() -> u32 {
        leave(|authority| authority.certificate_pem().into_bytes())
    }

    /// Leaves the authority's certificate, as DER.
    fn certificate_der() -> u32 {
        leave(|authority| authority.certificate_der().to_vec())
    }
}
