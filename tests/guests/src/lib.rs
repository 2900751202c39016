//! Real guests for tests that are not in JavaScript: a Linux in v86, as `cargo xtask guest` saved it, in the namespace of a lab's relay.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, ensure};
use netloom_interop::lab::Lab;
use netloom_interop::transfer::{Kind, Pattern, request};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A guest on a lab's default LAN, killed on drop.
#[derive(Debug)]
pub struct V86 {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl V86 {
    /// Restores the saved guest with the network card `nic`: `virtio` or `ne2k`.
    ///
    /// # Errors
    /// When Node does not start. That the guest is not there shows at its first command.
    pub fn restore(lab: &Lab, nic: &str) -> Result<Self> {
        let mut command = lab.host.command("node");
        let mut child = command
            // What v86 makes of a guest's code is rarely worth being optimised.
            .args(["--liftoff-only", "shell.mjs", nic, &format!("ws://{}/", lab.relay.address())])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("node cannot run")?;
        let input = child.stdin.take().context("its input")?;
        let output = BufReader::new(child.stdout.take().context("its output")?);
        Ok(Self { child, input, output })
    }

    /// Runs a command in the guest's shell; gives its status, and its output of both kinds.
    ///
    /// # Errors
    /// When the guest is not there, or hangs.
    pub fn run(&mut self, command: &str) -> Result<(i64, String)> {
        writeln!(self.input, "{}", Value::from(command))?;
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the guest is gone: make it by `cargo xtask guest`");
        let ended: Value = serde_json::from_str(&line)?;
        let status = ended["status"].as_i64().context("no status")?;
        Ok((status, ended["output"].as_str().unwrap_or_default().to_owned()))
    }

    /// Runs a command that has to succeed; gives its output.
    ///
    /// # Errors
    /// As [`V86::run`], and with its output when it ends with another status than zero.
    pub fn must(&mut self, command: &str) -> Result<String> {
        let (status, output) = self.run(command)?;
        ensure!(status == 0, "guest: `{command}` ended with {status}:\n{output}");
        Ok(output)
    }

    /// Moves bytes down and up between the guest and a [`Server`](netloom_interop::transfer::Server), by their hashes.
    ///
    /// # Errors
    /// When a hash differs, or the guest's commands fail.
    pub fn moves_bytes(&mut self, server: SocketAddr, length: u64) -> Result<()> {
        let (host, port) = (server.ip(), server.port());
        let down = printed(Kind::Download, length, 7);
        let came = self.must(&format!(
            "printf '{down}' | nc {host} {port} >/tmp/down && head -c {length} /tmp/down | sha256sum && \
             tail -c 32 /tmp/down | hexdump -v -e '1/1 \"%02x\"'"
        ))?;
        let [hash, told] = [came.split_whitespace().next(), came.split_whitespace().last()];
        ensure!(hash == told, "down from {server}: {hash:?} came, {told:?} was sent");
        let mut pattern = vec![0; usize::try_from(length)?];
        Pattern::new(7).fill(&mut pattern);
        let sent: String = Sha256::digest(pattern).iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(hash == Some(&*sent), "{server} sent other bytes than asked");
        let up = printed(Kind::Upload, length, 0);
        let told = self.must(&format!(
            "{{ printf '{up}'; head -c {length} /tmp/down; }} | nc {host} {port} | hexdump -v -e '1/1 \"%02x\"'"
        ))?;
        ensure!(told.split_whitespace().next() == hash, "up to {server}: {told} came");
        Ok(())
    }
}

/// A request to a transfer server, as `printf` writes it.
fn printed(kind: Kind, length: u64, seed: u64) -> String {
    request(kind, length, seed).iter().map(|byte| format!("\\{byte:03o}")).collect()
}

impl Drop for V86 {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
