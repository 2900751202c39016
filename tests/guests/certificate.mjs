// A certificate for localhost that nobody has signed, in files.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Makes it; `flags` are the relay's, `chain` is what a client trusts, `stop` removes the files. */
export function certificate() {
  const folder = mkdtempSync(join(tmpdir(), "netloom-"));
  const [key, chain] = ["key.pem", "chain.pem"].map((name) => join(folder, name));
  const made = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-nodes", "-keyout", key, "-out", chain];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", ...made], { stdio: "pipe" });
  return { chain, flags: ["--tls-cert", chain, "--tls-key", key], stop: () => rmSync(folder, { recursive: true }) };
}
