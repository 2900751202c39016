//! `cargo xtask guest`: a bootable i386 guest from Debian packages, with one saved state per network card.
//!
//! Owns `target/guest`. apt works in a private root there, so that the host keeps its architectures and its packages.
//! What is in the folder is named by `key-*` files: a hash of all that went in; equal hash, nothing to do.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::cpio::Archive;
use crate::needs;
use crate::process::Step;
use crate::psql;

/// The network cards that v86 emulates.
const NICS: [&str; 2] = ["virtio", "ne2k"];
/// Kernel modules, in the order in which the guest loads them.
const MODULES: [&str; 10] = [
    "net/ethernet/8390/8390.ko",
    "net/ethernet/8390/ne2k-pci.ko",
    "net/core/failover.ko",
    "net/net_failover.ko",
    "virtio/virtio.ko",
    "virtio/virtio_ring.ko",
    "virtio/virtio_pci_legacy_dev.ko",
    "virtio/virtio_pci_modern_dev.ko",
    "virtio/virtio_pci.ko",
    "net/virtio_net.ko",
];
/// Debian release that still carries an i386 kernel; the sources are the host's own if it is that release.
const RELEASE: &str = "bookworm";

/// What V8 is told where guests are tested: v86 makes code all the time, and optimising that takes more than it ever saves.
pub(crate) const NODE_FLAG: &str = "--liftoff-only";

/// Where the images are.
pub(crate) fn folder() -> PathBuf {
    crate::root().join("target/guest")
}

/// Where the tests and the programs of the guest are.
pub(crate) fn tests() -> PathBuf {
    crate::root().join("tests/guests")
}

/// Makes what is missing.
pub(crate) fn make() -> Result<()> {
    static MADE: needs::Made = needs::Made::new();
    needs::once(&MADE, make_missing)
}

fn make_missing() -> Result<()> {
    needs::node_modules(&tests())?;
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let tests = tests();
    let sources = ["init", "udhcpc.script"].map(|name| tests.join(name));

    let image_key = key(&sources, include_str!("guest.rs"))?;
    if read(&folder.join("key-image")) != image_key || !folder.join("vmlinuz").exists() {
        let packages = packages(&folder)?;
        image(&folder, &packages, &sources)?;
        fs::write(folder.join("key-image"), &image_key)?;
    }

    let psql_key = key(&[], &psql::PACKAGES.join(" "))?;
    if read(&folder.join("key-psql")) != psql_key || !folder.join("psql.cpio").exists() {
        psql::make(&folder, &apt_config(&folder))?;
        fs::write(folder.join("key-psql"), &psql_key)?;
    }

    let boot = [
        tests.join("guest.mjs"),
        tests.join("package-lock.json"),
        folder.join("initrd"),
        folder.join("vmlinuz"),
    ];
    let boot_key = key(&boot, "")?;
    for nic in NICS {
        let key_file = folder.join(format!("key-{nic}"));
        if read(&key_file) == boot_key && folder.join(format!("state-{nic}.bin")).exists() {
            continue;
        }
        println!("guest: booting once with {nic} to save its state (up to a minute)");
        Step::new("node")
            .args([NODE_FLAG, "save-state.mjs", nic])
            .dir(&tests)
            .env("NETLOOM_GUEST_DIR", &folder)
            .quiet()?;
        fs::write(key_file, &boot_key)?;
    }
    Ok(())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A hash of some files and a text.
fn key(files: &[PathBuf], text: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).with_context(|| format!("{} is missing", file.display()))?);
        hash.update([0]);
    }
    hash.update(text);
    let mut key = String::new();
    for byte in hash.finalize() {
        write!(key, "{byte:02x}")?;
    }
    Ok(key)
}

/// The configuration of the private apt.
fn apt_config(folder: &Path) -> PathBuf {
    folder.join("apt/apt.conf")
}

/// Downloads and unpacks the packages; answers the folder that holds their files.
fn packages(folder: &Path) -> Result<PathBuf> {
    needs::command("apt-get", "apt")?;
    let apt = folder.join("apt");
    for name in ["state/lists/partial", "cache/archives/partial", "debs"] {
        fs::create_dir_all(apt.join(name))?;
    }
    fs::write(apt.join("status"), "")?;
    let config = apt_config(folder);
    let root = apt.display();
    fs::write(
        &config,
        format!(
            "Dir::State \"{root}/state\";\nDir::State::status \"{root}/status\";\nDir::Cache \"{root}/cache\";\n\
             APT::Architecture \"i386\";\nAPT::Architectures {{ \"i386\"; }};\nAPT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\nAcquire::Retries \"3\";\n"
        ),
    )?;
    println!("guest: fetching the kernel, busybox and the BIOS (i386 packages of Debian {RELEASE})");
    let apt_step = |program: &str| Step::new(program).env("APT_CONFIG", &config).dir(&apt.join("debs"));
    // A broken source that holds nothing of ours makes update fail; whether the packages are found is what counts.
    let updated = apt_step("apt-get").arg("update").capture()?;
    let depends = apt_step("apt-cache").args(["depends", "linux-image-686"]).capture()?;
    let kernel = depends
        .output
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"))
        .map(|name| format!("linux-image-{name}"));
    let Some(kernel) = kernel else {
        bail!(
            "apt finds no linux-image-686 for i386; add a source of Debian {RELEASE} to /etc/apt/sources.list.d; \
             apt-get update said:\n{}",
            updated.output
        );
    };
    let unpacked = apt.join("unpacked");
    let _ = fs::remove_dir_all(&unpacked);
    for old in fs::read_dir(apt.join("debs"))? {
        fs::remove_file(old?.path())?;
    }
    apt_step("apt-get").args(["download", &kernel, "busybox-static", "seabios"]).quiet()?;
    for package in fs::read_dir(apt.join("debs"))? {
        Step::new("dpkg").arg("-x").arg(package?.path()).arg(&unpacked).quiet()?;
    }
    Ok(unpacked)
}

/// Puts kernel, initramfs and BIOS into `folder`.
fn image(folder: &Path, packages: &Path, sources: &[PathBuf; 2]) -> Result<()> {
    let [init, lease_script] = sources;
    let modules = only_child(&packages.join("lib/modules"))?.join("kernel");
    let mut archive = Archive::new();
    for path in ["bin", "dev", "etc", "etc/udhcpc", "modules", "proc", "sys"] {
        archive.directory(path);
    }
    // The kernel opens the console before init mounts /dev.
    archive.device("dev/console", 5, 1);
    archive.file("bin/busybox", true, &fs::read(packages.join("bin/busybox"))?);
    archive.file("init", true, &fs::read(init)?);
    archive.file("etc/udhcpc/default.script", true, &fs::read(lease_script)?);
    for module in MODULES {
        let path = ["", "drivers/"].map(|prefix| modules.join(format!("{prefix}{module}")));
        let path = path
            .iter()
            .find(|path| path.exists())
            .with_context(|| format!("the kernel package has no module {module}"))?;
        let name = module.rsplit('/').next().unwrap_or(module);
        archive.file(&format!("modules/{name}"), false, &fs::read(path)?);
    }
    fs::write(folder.join("initrd"), archive.finish())?;
    fs::copy(only_child_named(&packages.join("boot"), "vmlinuz")?, folder.join("vmlinuz"))?;
    fs::copy(packages.join("usr/share/seabios/bios.bin"), folder.join("bios.bin"))?;
    fs::copy(packages.join("usr/share/seabios/vgabios-stdvga.bin"), folder.join("vgabios.bin"))?;
    Ok(())
}

fn only_child(folder: &Path) -> Result<PathBuf> {
    only_child_named(folder, "")
}

fn only_child_named(folder: &Path, prefix: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} is missing", folder.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(entry.path());
        }
    }
    bail!("{} holds no {prefix}*", folder.display())
}
