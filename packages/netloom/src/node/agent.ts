/**
 * Agents for `node:http` and `node:https` over a stack, and a connector for undici.
 *
 * @module
 */
import { Agent as HttpAgentOfNode } from 'node:http';
import type { AgentOptions } from 'node:http';
import { Agent as HttpsAgentOfNode } from 'node:https';
import type { AgentOptions as HttpsAgentOptions } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import type { StreamTransport } from '../transport/index.ts';
import { systemError } from './errors.ts';
import { createNet } from './net/index.ts';
import type { Net, NetOptions } from './net/index.ts';

type Target = {
  host?: string | null;
  hostname?: string | null;
  port?: number | string | null;
  localAddress?: string;
  family?: number;
  lookup?: NetOptions['lookup'];
};

function open(net: Net, { host, hostname, port, localAddress, family, lookup }: Target, fallbackPort: number) {
  return net.connect({ host: host ?? hostname ?? 'localhost', port: port ?? fallbackPort, localAddress, family, lookup });
}

/**
 * Makes an agent for `http.request` whose connections go through a stack.
 *
 * @param tcp The transport: `stack.tcp`, or anything like it.
 * @param options As of `http.Agent` (`keepAlive`, `maxSockets`…), and `lookup`.
 * @example
 * ```ts
 * import http from 'node:http';
 * import { createStack } from 'netloom';
 * import { createHttpAgent, createNet } from 'netloom/node';
 *
 * const stack = await createStack();
 * const web = http.createServer((request, response) => response.end(`hello from ${request.url}\n`));
 * const server = createNet(stack.tcp).createServer((socket) => web.emit('connection', socket));
 * server.listen(80, () => {
 *   const agent = createHttpAgent(stack.tcp);
 *   http.get('http://127.0.0.1/guest', { agent }, async (response) => {
 *     for await (const chunk of response) console.log(String(chunk));
 *     agent.destroy();
 *     server.close(() => stack.close());
 *   });
 * });
 * ```
 */
export function createHttpAgent(tcp: StreamTransport, options: AgentOptions & NetOptions = {}): HttpAgentOfNode {
  const net = createNet(tcp, { lookup: options.lookup });
  const agent = new HttpAgentOfNode(options) as HttpAgentOfNode & { createConnection: unknown };
  agent.createConnection = (target: Target) => open(net, target, 80);
  return agent;
}

/**
 * Makes an agent for `https.request` whose connections go through a stack; TLS is Node's own.
 *
 * @param tcp The transport: `stack.tcp`, or anything like it.
 * @param options As of `https.Agent` (`ca`, `rejectUnauthorized`…), and `lookup`.
 * @example
 * ```ts
 * import https from 'node:https';
 * import { createStack } from 'netloom';
 * import { createHttpsAgent } from 'netloom/node';
 *
 * const stack = await createStack();
 * const agent = createHttpsAgent(stack.tcp);
 * https.get('https://127.0.0.1/', { agent }).on('error', (error) => {
 *   console.log(error.message); // connect ECONNREFUSED 127.0.0.1:443
 *   void stack.close();
 * });
 * ```
 */
export function createHttpsAgent(tcp: StreamTransport, options: HttpsAgentOptions & NetOptions = {}): HttpsAgentOfNode {
  const net = createNet(tcp, { lookup: options.lookup });
  type Connecting = { createConnection(options: object, done?: unknown): Duplex };
  const agent = new HttpsAgentOfNode(options) as unknown as HttpsAgentOfNode & Connecting;
  const createConnection = agent.createConnection.bind(agent);
  // Node's own keeps the TLS sessions; it only has to be given the socket.
  agent.createConnection = (target: Target, done?: unknown) => {
    const socket = open(net, target, 443);
    const secure = createConnection({ ...target, socket }, done);
    // Without this, a connect that fails would end the TLS socket without its reason.
    socket.on('error', (error) => secure.destroy(error));
    return secure;
  };
  return agent;
}

/** What undici asks a connector for. */
export type ConnectorOptions = {
  hostname: string;
  host?: string;
  protocol: string;
  port: string | number;
  servername?: string | null;
  localAddress?: string | null;
  httpSocket?: Duplex;
};

/** How undici is answered. */
// biome-ignore lint/suspicious/noExplicitAny: the type of its sockets is its own affair
export type Connector = (options: ConnectorOptions, done: (error: Error | null, socket: any) => void) => void;

/** Milliseconds that undici's own connector allows. */
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Makes a connector for undici, whose `fetch`, `request` and pools then go through a stack.
 *
 * @param tcp The transport: `stack.tcp`, or anything like it.
 * @param options As of `tls.connect` for HTTPS; `timeout` milliseconds for connecting (default 10,000, 0 for none), and `lookup`.
 * @example
 * ```ts
 * import { Agent, request } from 'undici';
 * import { createStack } from 'netloom';
 * import { createUndiciConnector } from 'netloom/node';
 *
 * const stack = await createStack();
 * const dispatcher = new Agent({ connect: createUndiciConnector(stack.tcp) });
 * await request('http://127.0.0.1/', { dispatcher }).catch((error) => console.log(error.code)); // ECONNREFUSED
 * await dispatcher.close();
 * await stack.close();
 * ```
 */
export function createUndiciConnector(tcp: StreamTransport, options: ConnectionOptions & NetOptions & { timeout?: number } = {}): Connector {
  const { lookup, timeout = CONNECT_TIMEOUT_MS, ...tls } = options;
  const net = createNet(tcp, { lookup });
  return ({ hostname, protocol, port, servername, localAddress, httpSocket }, done) => {
    const secure = protocol === 'https:';
    const number = Number(port) || (secure ? 443 : 80);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const plain = httpSocket ?? net.connect({ host, port: number, localAddress: localAddress ?? undefined });
    let socket: Duplex = plain;
    if (secure) {
      const name = servername || tls.servername || (isIP(host) === 0 ? host : undefined);
      socket = connectTls({ ALPNProtocols: ['http/1.1'], ...tls, socket: plain, host, ...(name === undefined ? {} : { servername: name }) });
      plain.on('error', (error) => socket.destroy(error));
    }
    const late = timeout > 0 ? setTimeout(() => socket.destroy(systemError('connect', 'ETIMEDOUT', { address: host, port: number })), timeout) : undefined;
    const failed = (error: Error) => {
      clearTimeout(late);
      done(error, null);
    };
    socket.once('error', failed);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(late);
      socket.off('error', failed);
      done(null, socket);
    });
  };
}
