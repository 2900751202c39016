//! WebAssembly: modules of a package, and a toolchain that can build them.
//!
//! The compiler that runs us is used where it has the target (`rustup target add wasm32-unknown-unknown`). Elsewhere Debian's compiler
//! is: its packages lack the target's standard library too, but bring the sources, from which it is built once. The result is a sysroot
//! below `target`, named by the compiler's version.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::needs;
use crate::process::Step;

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_PACKAGES: &str = "rustc-web\ncargo-web\nrust-web-src\n";
/// Less inlining than usual: a tenth off the module, and nothing that could be measured off its speed.
const INLINING: &str = "-Cllvm-args=-inline-threshold=25";
/// What ring's C is compiled with.
const RING_PACKAGES: &str = "clang-19\nllvm-19\n";
/// ring has a generator for this target by a feature alone that also makes `getrandom` import a page's source. As a flag, it does the first
/// without the second, and `getrandom` asks the module for its bytes.
const RING_FLAGS: &str = "--cfg feature=\"wasm32_unknown_unknown_js\"";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// What the engine that runs a module must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Features {
    /// WebAssembly as every engine has it.
    Baseline,
    /// Vectors of 128 bits.
    Simd128,
}

impl Features {
    pub(crate) const ALL: [Self; 2] = [Self::Baseline, Self::Simd128];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Simd128 => "simd128",
        }
    }

    const fn rustflags(self) -> &'static str {
        match self {
            Self::Baseline => "",
            Self::Simd128 => "-Ctarget-feature=+simd128",
        }
    }
}

/// Builds a package's library as a module; returns its path.
pub(crate) fn module(package: &str, features: Features) -> Result<PathBuf> {
    module_of(package, features, None)
}

/// As [`module`], with a feature of the package that makes another module of it.
pub(crate) fn module_of(package: &str, features: Features, role: Option<&str>) -> Result<PathBuf> {
    let step = rustc()?.args(role.map(|role| format!("--features={role}")));
    let built = build(package, step, "wasm", features.name(), features.rustflags())?;
    let Some(role) = role else { return Ok(built) };
    // The next build of the package puts its module in the same place.
    let own = built.with_extension(format!("{role}.wasm"));
    fs::copy(built, &own)?;
    Ok(own)
}

/// As [`module`], for one whose cryptography is ring's, of which a part is C.
pub(crate) fn module_with_ring(package: &str) -> Result<PathBuf> {
    needs::packages(RING_PACKAGES)?;
    let step =
        rustc()?.env("CC_wasm32_unknown_unknown", "clang-19").env("AR_wasm32_unknown_unknown", "llvm-ar-19");
    build(package, step, "wasm-small", "ring", RING_FLAGS)
}

/// The compiler's command.
fn rustc() -> Result<Step> {
    Ok(match toolchain()? {
        Toolchain::Own => Step::cargo(["rustc"]),
        Toolchain::Sysroot(sysroot) => {
            Step::new(DEBIAN_CARGO).arg("rustc").env("RUSTC", sysroot.join("bin/rustc"))
        }
    })
}

/// Has `rustc` build a package's library by a profile, in a folder of its flags.
fn build(package: &str, rustc: Step, profile: &str, folder: &str, flags: &str) -> Result<PathBuf> {
    let folder = crate::root().join("target/wasm").join(folder);
    rustc
        .args(["--quiet", "--lib", "--crate-type", "cdylib", "--profile", profile, "--target", TARGET])
        .args(["--package", package, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", format!("{INLINING} {flags}"))
        .quiet()?;
    Ok(folder.join(TARGET).join(profile).join(package.replace('-', "_") + ".wasm"))
}

enum Toolchain {
    /// The one that runs us.
    Own,
    /// Debian's, with this sysroot.
    Sysroot(PathBuf),
}

fn toolchain() -> Result<Toolchain> {
    if print("rustc", &["--target", TARGET, "--print", "target-libdir"])
        .is_ok_and(|folder| has_std(Path::new(&folder)))
    {
        return Ok(Toolchain::Own);
    }
    needs::packages(DEBIAN_PACKAGES)
        .context("no compiler here builds for WebAssembly; run: rustup target add wasm32-unknown-unknown")?;
    let version = print(DEBIAN_RUSTC, &["--version"])?;
    let sysroot = crate::root()
        .join("target/wasm-toolchain")
        .join(format!("{}-no-backtrace", version.replace(' ', "-")));
    if !has_std(&library(&sysroot)) {
        make(&sysroot)?;
    }
    Ok(Toolchain::Sysroot(sysroot))
}

/// Makes a sysroot: Debian's, the target's standard library and a linker.
fn make(sysroot: &Path) -> Result<()> {
    eprintln!("building the standard library for {TARGET}, once");
    let unfinished = sysroot.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    let seed = unfinished.join("seed");
    fs::create_dir_all(seed.join("src"))?;
    let manifest = "[package]\nname = \"seed\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(seed.join("Cargo.toml"), manifest.to_owned() + "[profile.release]\npanic = \"abort\"\n")?;
    fs::write(seed.join("src/lib.rs"), "")?;
    Step::new(DEBIAN_CARGO)
        .args([
            "build",
            "--release",
            "--target",
            TARGET,
            "-Zbuild-std=std,panic_abort",
            // No backtraces: a module has nobody to show them to.
            "-Zbuild-std-features=",
            "--target-dir",
            "out",
        ])
        .dir(&seed)
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        // Without, link-time optimisation of what depends on it fails.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .quiet()?;
    let library = library(&unfinished);
    fs::create_dir_all(&library)?;
    for entry in fs::read_dir(seed.join("out").join(TARGET).join("release/deps"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.extension().is_some_and(|end| end == "rlib") && !name.to_string_lossy().contains("seed") {
            fs::copy(&path, library.join(name))?;
        }
    }
    let host = host()?;
    let own = unfinished.join("lib/rustlib").join(&host);
    fs::create_dir_all(own.join("bin"))?;
    let debian = PathBuf::from(print(DEBIAN_RUSTC, &["--print", "sysroot"])?).join("lib/rustlib").join(&host);
    symlink(debian.join("lib"), own.join("lib"))?;
    symlink(linker(&host)?, own.join("bin/rust-lld"))?;
    let rustc = unfinished.join("bin/rustc");
    fs::create_dir_all(unfinished.join("bin"))?;
    let line = format!("exec {DEBIAN_RUSTC} --sysroot '{}' \"$@\"", sysroot.display());
    fs::write(&rustc, format!("#!/bin/sh\n{line}\n"))?;
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755))?;
    fs::remove_dir_all(&seed)?;
    fs::rename(&unfinished, sysroot)?;
    Ok(())
}

/// The linker of the toolchain that runs us, or Debian's.
fn linker(host: &str) -> Result<PathBuf> {
    let own = PathBuf::from(print("rustc", &["--print", "sysroot"])?)
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    if own.is_file() {
        return Ok(own);
    }
    let about = print(DEBIAN_RUSTC, &["-vV"])?;
    let Some(version) = field(&about, "LLVM version: ").and_then(|version| version.split('.').next()) else {
        bail!("{DEBIAN_RUSTC} does not tell its LLVM version");
    };
    let lld = format!("lld-{version}");
    needs::command(&lld, &lld)?;
    Ok(Path::new("/usr/bin").join(lld))
}

fn host() -> Result<String> {
    let about = print(DEBIAN_RUSTC, &["-vV"])?;
    field(&about, "host: ").map(str::to_owned).context("rustc does not tell its host")
}

fn field<'a>(about: &'a str, name: &str) -> Option<&'a str> {
    about.lines().find_map(|line| line.strip_prefix(name))
}

fn library(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib").join(TARGET).join("lib")
}

fn has_std(library: &Path) -> bool {
    fs::read_dir(library).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    })
}

/// What a compiler answers.
fn print(rustc: &str, args: &[&str]) -> Result<String> {
    let outcome = Step::new(rustc).args(args).capture()?;
    if !outcome.success {
        bail!("`{rustc} {}` failed:\n{}", args.join(" "), outcome.output.trim_end());
    }
    Ok(outcome.output.trim().to_owned())
}
