// The runtimes that the package is tested in, each as the command that starts it.
import { accessSync, chmodSync, constants } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** Names of the runtimes that run in a terminal, with their commands. */
export const TERMINALS = {
  /** The Node that runs us. */
  node: () => [process.execPath, '--enable-source-maps'],
  node24: () => [program(`node-linux-${process.arch}/bin/node`), '--enable-source-maps'],
  deno: () => [program(`@deno/linux-${process.arch}-glibc/deno`), 'run', '--quiet', '--allow-all', '--no-config', '--no-lock'],
  bun: () => [program(`@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : process.arch}/bin/bun`)],
};

/** A program that npm installed; packages do not always say that it may be run. */
export function program(path) {
  const file = fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));
  try {
    accessSync(file, constants.X_OK);
  } catch {
    chmodSync(file, 0o755);
  }
  return file;
}
