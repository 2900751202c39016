//! Runs a target over files, where it is not libFuzzer that runs it.

use std::path::Path;
use std::process::ExitCode;

/// Runs `target` over each file named, and over each file of each directory named.
///
/// # Errors
/// If a file cannot be read.
pub fn files(target: fn(&[u8]), paths: &mut dyn Iterator<Item = &Path>) -> Result<usize, std::io::Error> {
    let mut count = 0;
    for path in paths {
        if path.is_dir() {
            let mut entries =
                path.read_dir()?.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
            entries.sort();
            count += files(target, &mut entries.iter().map(AsRef::as_ref))?;
        } else {
            target(&std::fs::read(path)?);
            count += 1;
        }
    }
    Ok(count)
}

/// The `main` of a target's program outside libFuzzer: it runs the files and directories given as arguments.
#[must_use]
pub fn main(target: fn(&[u8])) -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match files(target, &mut arguments.iter().map(Path::new)) {
        Ok(count) => {
            println!("{count} inputs passed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot read an input: {error}");
            ExitCode::FAILURE
        }
    }
}
