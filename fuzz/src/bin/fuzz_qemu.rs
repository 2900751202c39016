//! The fuzz target `qemu`: under libFuzzer with `--cfg fuzzing`, otherwise over the files given as arguments.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| netloom_fuzz::qemu::run(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    netloom_fuzz::replay::main(netloom_fuzz::qemu::run)
}
