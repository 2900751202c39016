//! Postgres' own client for the guest: Debian's i386 package and the libraries that it needs, as one archive that a guest unpacks.
//!
//! The archive is `target/guest/psql.cpio`, flat: `psql`, the dynamic linker, and each library by the name that others ask for.
//! It runs from any folder: `./ld-linux.so.2 --library-path . ./psql`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cpio::Archive;
use crate::process::Step;

const PROGRAM: &str = "usr/lib/postgresql/15/bin/psql";
const LINKER: &str = "lib/i386-linux-gnu/ld-linux.so.2";
const LIBRARIES: [&str; 2] = ["lib/i386-linux-gnu", "usr/lib/i386-linux-gnu"];
/// The client and what it is linked to, at every remove.
pub(crate) const PACKAGES: [&str; 24] = [
    "postgresql-client-15",
    "libc6",
    "libcom-err2",
    "libffi8",
    "libgmp10",
    "libgnutls30",
    "libgssapi-krb5-2",
    "libhogweed6",
    "libidn2-0",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libldap-2.5-0",
    "libnettle8",
    "libp11-kit0",
    "libpq5",
    "libreadline8",
    "libsasl2-2",
    "libssl3",
    "libtasn1-6",
    "libtinfo6",
    "libunistring2",
    "zlib1g",
];

/// Downloads with the private apt of `folder`, whose lists are up to date, and writes the archive.
pub(crate) fn make(folder: &Path, apt_config: &Path) -> Result<()> {
    let work = folder.join("apt/psql");
    let _ = fs::remove_dir_all(&work);
    let unpacked = work.join("unpacked");
    fs::create_dir_all(&unpacked)?;
    println!("guest: fetching Postgres' client");
    Step::new("apt-get").arg("download").args(PACKAGES).env("APT_CONFIG", apt_config).dir(&work).quiet()?;
    for entry in fs::read_dir(&work)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            Step::new("dpkg").arg("-x").arg(path).arg(&unpacked).quiet()?;
        }
    }
    let mut archive = Archive::new();
    for (name, path) in [("psql", PROGRAM), ("ld-linux.so.2", LINKER)] {
        let content =
            fs::read(unpacked.join(path)).with_context(|| format!("the packages have no {path}"))?;
        archive.file(name, true, &content);
    }
    for libraries in LIBRARIES {
        let mut names: Vec<_> = fs::read_dir(unpacked.join(libraries))?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| is_soname(name))
            .collect();
        names.sort();
        for name in names {
            archive.file(&name, true, &fs::read(unpacked.join(libraries).join(&name))?);
        }
    }
    fs::write(folder.join("psql.cpio"), archive.finish())?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// Whether others are linked to a library by this name: `libpq.so.5`, and neither `libpq.so` nor `libpq.so.5.15`.
fn is_soname(name: &str) -> bool {
    let Some((library, version)) = name.split_once(".so.") else {
        return false;
    };
    library.starts_with("lib") && !version.contains('.')
}

#[cfg(test)]
mod tests {
    use super::is_soname;

    #[test]
    fn only_names_with_one_number_are_asked_for() {
        let names = ["libpq.so.5", "libldap-2.5.so.0", "libpq.so.5.15", "libpq.so", "ld-linux.so.2", "krb5"];
        assert_eq!(names.map(is_soname), [true, true, false, false, false, false]);
    }
}
