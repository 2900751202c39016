/**
 * Servers of other people, started by the tests: unprivileged, in a folder of their own, on a free port or a socket of the file system.
 * They end with the test, also when it fails.
 *
 * @module
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream';
import { createNet } from '../../src/node/index.ts';
import type { Server } from '../../src/node/index.ts';
import type { StreamTransport } from '../../src/transport/index.ts';

/** A server and how the host reaches it. */
export type HostServer = { target: net.NetConnectOpts; stop(): Promise<void> };

/** The account that servers run as when the tests are root's, as Postgres refuses to be. */
const NOBODY = { uid: 65_534, gid: 65_534 };
const unprivileged = process.getuid?.() === 0 ? NOBODY : {};

function folder(name: string): string {
  const path = mkdtempSync(join(tmpdir(), `netloom-${name}-`));
  chmodSync(path, 0o755);
  if ('uid' in unprivileged) chownSync(path, NOBODY.uid, NOBODY.gid);
  return path;
}

/** Starts a program and waits for a line that says that it is ready. */
async function start(program: string, values: string[], cwd: string, ready: RegExp): Promise<ChildProcess> {
  const child = spawn(program, values, { ...unprivileged, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const end = () => void child.kill('SIGKILL');
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  const said: string[] = [];
  await new Promise<void>((done, failed) => {
    child.once('error', failed);
    child.once('exit', (status) => failed(new Error(`${program} ended with ${status}:\n${said.join('\n')}`)));
    for (const output of [child.stdout!, child.stderr!]) {
      createInterface({ input: output }).on('line', (line) => {
        if (said.length < 100) said.push(line);
        if (ready.test(line)) done();
      });
    }
  });
  return child;
}

async function stop(child: ChildProcess, path: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGINT');
    await once(child, 'exit');
  }
  rmSync(path, { recursive: true, force: true });
}

/** The certificate of a server that is called `guest.test`. */
export function certificate(path: string): { key: string; cert: string } {
  const files = { key: join(path, 'server.key'), cert: join(path, 'server.crt') };
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-subj',
      '/CN=guest.test',
      '-addext',
      'subjectAltName=DNS:guest.test,IP:10.9.0.2',
      '-days',
      '2',
      '-keyout',
      files.key,
      '-out',
      files.cert,
    ],
    { stdio: 'pipe' },
  );
  return files;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts Debian's Postgres: user `netloom`, password `secret`, database `postgres`; `cert` is the certificate of its TLS. */
export async function startPostgres(): Promise<HostServer & { cert: string }> {
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  const bin = `/usr/lib/postgresql/${versions[0]}/bin`;
  const path = folder('postgres');
  const data = join(path, 'data');
  const { key, cert } = certificate(path);
  if ('uid' in unprivileged) chownSync(key, NOBODY.uid, NOBODY.gid);
  chmodSync(key, 0o600);
  const password = join(path, 'password');
  execFileSync('sh', ['-c', `echo secret >"$1"`, 'sh', password], unprivileged);
  execFileSync(`${bin}/initdb`, ['-D', data, '-U', 'netloom', '-A', 'scram-sha-256', '--pwfile', password, '--no-locale', '-E', 'UTF8', '--no-sync'], {
    ...unprivileged,
    cwd: path,
    stdio: 'pipe',
  });
  const port = await freePort();
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: path,
    fsync: 'off',
    ssl: 'on',
    ssl_key_file: key,
    ssl_cert_file: cert,
    max_connections: '50',
  };
  const child = await start(
    `${bin}/postgres`,
    ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    path,
    /database system is ready to accept connections/,
  );
  return { target: { host: '127.0.0.1', port }, cert: readFileSync(cert, 'utf8'), stop: () => stop(child, path) };
}

/** Starts Debian's Redis. */
export async function startRedis(): Promise<HostServer> {
  const path = folder('redis');
  const socket = join(path, 'redis.sock');
  const child = await start(
    'redis-server',
    ['--port', '0', '--unixsocket', socket, '--dir', path, '--save', '', '--appendonly', 'no'],
    path,
    /ready to accept connections/i,
  );
  return { target: { path: socket }, stop: () => stop(child, path) };
}

/** Lets a stack's port lead to a server of the host. */
export async function forward(tcp: StreamTransport, port: number, target: net.NetConnectOpts): Promise<Server> {
  const server = createNet(tcp).createServer({ allowHalfOpen: true }, (inside) => {
    const outside = net.connect({ ...target, allowHalfOpen: true } as net.NetConnectOpts);
    pipeline(inside, outside, inside, () => {
      inside.destroy();
      outside.destroy();
    });
  });
  server.listen(port);
  await once(server, 'listening');
  return server;
}
