/**
 * One question to one name server, by UDP and, where the answer did not fit, by TCP (RFC 1035 4.2, RFC 7766).
 */
import { NetworkError } from '../errors.ts';
import type { DatagramSocket, DatagramTransport, StreamTransport } from '../transport/types.ts';
import { concat, words } from '../wire/bytes.ts';
import { canonicalIP, sameName } from './names.ts';
import { parseDnsMessage } from './parse.ts';
import { serializeQuery } from './query.ts';
import type { DnsMessage, DnsQuestion, NameServer } from './types.ts';

/** What carries DNS: `stack` itself, or its parts. */
export type DnsTransports = { udp: DatagramTransport; tcp?: StreamTransport };

/**
 * Asks once by each transport. Rejects with the signal's reason once it aborts; sockets are closed when this settles.
 */
export async function exchange({ udp, tcp }: DnsTransports, server: NameServer, question: DnsQuestion, signal: AbortSignal): Promise<DnsMessage> {
  let answer = await askByUdp(udp, server, question, true, signal);
  // Servers older than EDNS do not know its record (RFC 6891 7).
  if (answer.header.rcode === 'FORMERR' || answer.header.rcode === 'NOTIMP') answer = await askByUdp(udp, server, question, false, signal);
  return answer.header.isTruncated && tcp ? askByTcp(tcp, server, question, signal) : answer;
}

async function askByUdp(udp: DatagramTransport, server: NameServer, question: DnsQuestion, edns: boolean, signal: AbortSignal): Promise<DnsMessage> {
  const { ip, port = 53 } = server;
  const id = random16();
  const socket = await openAtRandom(udp, ip);
  const done = closeOnAbort(socket, signal);
  try {
    await socket.writable.getWriter().write({ host: ip, port, data: serializeQuery(id, question, edns) });
    const reader = socket.readable.getReader();
    for (;;) {
      const { value } = await reader.read();
      if (!value) throw signal.reason ?? new NetworkError('ECONNABORTED', { syscall: 'lookup' });
      if (value.port !== port || canonicalIP(value.host) !== canonicalIP(ip)) continue;
      const answer = answerOf(value.data, id, question);
      if (answer) return answer;
    }
  } finally {
    await done();
  }
}

async function askByTcp(tcp: StreamTransport, server: NameServer, question: DnsQuestion, signal: AbortSignal): Promise<DnsMessage> {
  const { ip, port = 53 } = server;
  const id = random16();
  const connection = await tcp.connect({ host: ip, port, signal });
  const done = closeOnAbort(connection, signal);
  try {
    const query = serializeQuery(id, question, true);
    await connection.writable.getWriter().write(concat([words(query.length), query]));
    const reader = connection.readable.getReader();
    let bytes: Uint8Array = new Uint8Array();
    for (;;) {
      const { value } = await reader.read();
      if (!value) throw signal.reason ?? new NetworkError('ECONNRESET', { syscall: 'lookup', address: ip, port });
      bytes = concat([bytes, value]);
      const length = bytes.length < 2 ? Infinity : (bytes[0]! << 8) | bytes[1]!;
      if (bytes.length < length + 2) continue;
      const answer = answerOf(bytes.subarray(2, length + 2), id, question);
      if (answer) return answer;
      bytes = bytes.slice(length + 2);
    }
  } finally {
    await done();
  }
}

/** The message, if it answers this question: what others sent is passed over (RFC 5452 9.1). */
function answerOf(data: Uint8Array, id: number, question: DnsQuestion): DnsMessage | undefined {
  try {
    const message = parseDnsMessage(data);
    const { header, questions } = message;
    const [asked] = questions;
    const same = asked && questions.length === 1 && asked.type === question.type && asked.class === question.class && sameName(asked.name, question.name);
    // An error may come without the question.
    const isAnswer = same || (!asked && header.rcode === 'FORMERR');
    return header.isResponse && header.id === id && header.opcode === 'QUERY' && isAnswer ? message : undefined;
  } catch {
    return undefined;
  }
}

/** A socket at a port that nobody can guess (RFC 5452 9.2). */
async function openAtRandom(udp: DatagramTransport, server: string): Promise<DatagramSocket> {
  for (let tries = 0; tries < 3; tries++) {
    try {
      return await udp.open({ port: 49_152 + (random16() & 0x3fff) });
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EADDRINUSE') throw new NetworkError('EAI_AGAIN', { syscall: 'lookup', address: server, cause: error });
    }
  }
  return udp.open();
}

function closeOnAbort(socket: { close(): Promise<void> }, signal: AbortSignal): () => Promise<void> {
  const close = (): Promise<void> => socket.close().catch(() => {});
  if (signal.aborted) void close();
  signal.addEventListener('abort', close);
  return () => {
    signal.removeEventListener('abort', close);
    return close();
  };
}

function random16(): number {
  return crypto.getRandomValues(new Uint16Array(1))[0]!;
}
