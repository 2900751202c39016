import { createStack } from '../../src/index.ts';
import { deepEqual, equal, ok, pattern, rejects, test } from '../harness.ts';
import { A, B, pair } from './stacks.ts';

test('replies tell host, identifier, sequence, payload and time', async () => {
  const { a, b, close } = await pair();
  const session = await a.ping.createSession({ host: B });
  for (const sequenceNumber of [0, 1, 2]) {
    const reply = await session.ping();
    deepEqual([reply.host, reply.identifier, reply.sequenceNumber], [B, session.identifier, sequenceNumber]);
    deepEqual(
      reply.payload,
      Uint8Array.from({ length: 56 }, (_, index) => index),
    );
    ok(reply.roundTripTime >= 0 && reply.roundTripTime < 1000);
  }
  const back = await b.ping.createSession({ host: A });
  equal((await back.ping({ payload: new Uint8Array(0) })).payload.length, 0);
  await close();
});

test('payloads up to 65,507 bytes', async () => {
  const { a, close } = await pair();
  const session = await a.ping.createSession({ host: B });
  for (const size of [1, 1472, 1473, 65_507]) deepEqual((await session.ping({ payload: pattern(size) })).payload, pattern(size));
  await rejects(session.ping({ payload: new Uint8Array(65_508) }), { code: 'EMSGSIZE', message: 'icmp echo payload exceeds maximum IPv4 packet size' });
  await close();
});

test('silence times out, closing and aborting reject', async () => {
  await using stack = await createStack();
  await stack.interfaces.createTun({ ip: `${A}/24` });
  const session = await stack.ping.createSession({ host: B, timeout: 10 });
  await rejects(session.ping(), { code: 'ETIMEDOUT', message: `icmp ping timed out: ${B}` });
  const abort = new AbortController();
  const aborted = session.ping({ timeout: 10_000, signal: abort.signal });
  abort.abort(new Error('enough'));
  await rejects(aborted, { message: 'enough' });
  const pending = session.ping({ timeout: 10_000 });
  await session.close();
  await session.close();
  await rejects(pending, { message: 'icmp ping session closed' });
  await rejects(session.ping(), { message: 'icmp ping session closed' });
});

test('nobody there, and no route', async () => {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: `${A}/24` });
  tap.onFrames(() => {});
  const session = await stack.ping.createSession({ host: B, timeout: 60_000 });
  await rejects(session.ping(), { code: 'EHOSTUNREACH' });
  const away = await stack.ping.createSession({ host: '8.8.8.8' });
  await rejects(away.ping(), { code: 'ENETUNREACH' });
});

test('pings of several sessions at once stay apart', async () => {
  await using stack = await createStack();
  const sessions = await Promise.all(Array.from({ length: 50 }, () => stack.ping.createSession({ host: '127.0.0.1' })));
  equal(new Set(sessions.map((session) => session.identifier)).size, 50);
  const replies = await Promise.all(sessions.flatMap((session, place) => [0, 1, 2].map(() => session.ping({ payload: new Uint8Array([place]) }))));
  ok(replies.every((reply, place) => reply.payload[0] === Math.floor(place / 3)));
  for (const session of sessions) await session[Symbol.asyncDispose]();
});

test('IPv6', async () => {
  const { a, b, close } = await pair();
  await [...a.interfaces].at(-1)!.addAddress('fd00::1/64');
  await [...b.interfaces].at(-1)!.addAddress('fd00::2/64');
  const session = await a.ping.createSession({ host: 'fd00::2' });
  const reply = await session.ping({ payload: new Uint8Array([6]) });
  deepEqual([reply.host, [...reply.payload]], ['fd00::2', [6]]);
  await close();
});
