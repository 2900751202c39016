import type { StreamConnection } from '../../../src/transport/types.ts';
import { deepEqual, equal, ok, pattern, rejects, test } from '../../harness.ts';
import { plugIn } from '../../lan/guest.ts';
import { macrotask } from '../../network.ts';
import { openWispWorld } from './open.ts';
import { CLOSE, CONNECT, CONTINUE, DATA, extension, INFO, u32 } from './script.ts';

const HOST = '198.51.100.7';
const [UDP, PASSWORD, KEY, CONFIRMS] = [1, 2, 3, 5];
const text = { encode: (value: string) => new TextEncoder().encode(value), decode: (value: Uint8Array) => new TextDecoder().decode(value) };

async function readText(connection: StreamConnection, length: number): Promise<string> {
  let all = '';
  for await (const chunk of connection) {
    all += text.decode(chunk);
    if (all.length >= length) break;
  }
  return all;
}

test('wisp: a server of version 1 refuses the subprotocol and is asked again without', async () => {
  const { guest, server, reports, close } = await openWispWorld();
  const session = await server.session();
  await reports('up');
  deepEqual(server.tried, [
    { url: 'ws://wisp.test/', subprotocol: 'wisp-v2' },
    { url: 'ws://wisp.test/', subprotocol: undefined },
  ]);
  const connecting = guest.stack.tcp.connect({ host: HOST, port: 8080 });
  const { type, stream, kind, port, host } = await session.next();
  deepEqual([type, kind, port, host], [CONNECT, 1, 8080, HOST]);
  const connection = await connecting;
  await connection.write(text.encode('question'));
  equal((await session.next()).text, 'question');
  session.send(DATA, stream, 'answer');
  equal(await readText(connection, 6), 'answer');
  await close();
});

test('wisp: with confirmation a connect is answered when its target has answered', async () => {
  const { guest, server, wisp, reports, close } = await openWispWorld({ version2: true, extensions: [...extension(UDP), ...extension(CONFIRMS)] });
  const session = await server.session();
  await reports('up');
  equal((await session.next()).type, INFO);
  deepEqual(wisp.server, { version: '2.0', udp: true, confirms: true, halfClose: false, streamCredit: false, motd: '' });
  const connecting = guest.stack.tcp.connect({ host: HOST, port: 80 });
  let stands = false;
  void connecting.then(() => (stands = true));
  const { stream } = await session.next();
  for (let turn = 0; turn < 20; turn += 1) await macrotask();
  equal(stands, false);
  session.send(CONTINUE, stream, u32(64));
  await connecting;
  const refused = guest.stack.tcp.connect({ host: HOST, port: 81 });
  session.send(CLOSE, (await session.next()).stream, [0x44]);
  await rejects(refused, { code: 'ECONNREFUSED' });
  const unreachable = guest.stack.tcp.connect({ host: HOST, port: 82 });
  session.send(CLOSE, (await session.next()).stream, [0x42]);
  await rejects(unreachable, { code: 'EHOSTUNREACH' });
  await close();
});

test('wisp: connects before the first credit wait for it', async () => {
  const { guest, server, close } = await openWispWorld({ credit: null });
  const session = await server.session();
  const connecting = guest.stack.tcp.connect({ host: HOST, port: 80 });
  for (let turn = 0; turn < 20; turn += 1) await macrotask();
  equal(session.packets.length, 0);
  session.send(CONTINUE, 0, u32(2));
  const { stream } = await session.next();
  const connection = await connecting;
  await connection.write(text.encode('early'));
  const packet = await session.next();
  deepEqual([packet.stream, packet.text], [stream, 'early']);
  await close();
});

test('wisp: megabytes go each way, with messages longer than the arena and nonsense between', async () => {
  const { guest, server, close } = await openWispWorld();
  const session = await server.session();
  const connecting = guest.stack.tcp.connect({ host: HOST, port: 80 });
  const { stream } = await session.next();
  const connection = await connecting;
  const data = pattern(1_500_000);
  const received: number[] = [];
  const reading = (async () => {
    for await (const chunk of connection) for (const byte of chunk) received.push(byte);
  })();
  for (let at = 0; at < data.length; at += 300_000) {
    session.send(DATA, stream, data.subarray(at, at + 300_000));
    for (const nonsense of ['text', new ArrayBuffer(0), new Uint8Array([DATA, 1]).buffer, new Uint8Array([99, 0, 0, 0, 0]).buffer]) session.raw(nonsense);
    session.send(DATA, 777, 'late');
    session.send(CONTINUE, 777, u32(1));
  }
  const writing = connection.write(data);
  let up = 0;
  while (up < data.length) {
    const { type, payload } = await session.next();
    if (type !== DATA) continue;
    ok(payload.every((byte, index) => byte === data[up + index]));
    up += payload.length;
    session.send(CONTINUE, stream, u32(128));
  }
  await writing;
  session.send(CLOSE, stream, [2]);
  await reading;
  deepEqual(Uint8Array.from(received), data);
  await close();
});

test('wisp: what the WebSocket has no room for stays with the guest', async () => {
  const { guest, server, close } = await openWispWorld({ credit: 1000 });
  const session = await server.session();
  const connecting = guest.stack.tcp.connect({ host: HOST, port: 80 });
  await session.next();
  const connection = await connecting;
  session.socket.bufferedAmount = 8 << 20;
  const data = pattern(2 << 20);
  let written = false;
  const writing = connection.write(data).then(() => (written = true));
  for (let turn = 0; turn < 50; turn += 1) await macrotask();
  deepEqual([written, session.packets.length], [false, 1]);
  session.socket.bufferedAmount = 0;
  let up = 0;
  while (up < data.length) up += (await session.next()).payload.length;
  await writing;
  await close();
});

test('wisp: datagrams go each way', async () => {
  const { guest, server, close } = await openWispWorld();
  const session = await server.session();
  const socket = await guest.stack.udp.open();
  await socket.send({ host: HOST, port: 7, data: text.encode('datagram') });
  const opened = await session.next();
  deepEqual([opened.type, opened.kind, opened.port], [CONNECT, 2, 7]);
  equal((await session.next()).text, 'datagram');
  session.send(DATA, opened.stream, 'answer');
  for await (const { data, host } of socket) {
    deepEqual([text.decode(data), host], ['answer', HOST]);
    break;
  }
  await close();
});

test('wisp: names are asked through the server', async () => {
  const { lan, server, close } = await openWispWorld();
  const session = await server.session();
  const guest = await plugIn(lan);
  const looking = guest.dns.lookup('example.test');
  let query = await session.next();
  while (query.type === CONNECT) {
    deepEqual([query.kind, query.port], [2, 53]);
    const asked = await session.next();
    equal(asked.stream, query.stream);
    // The header, and the question up to its class (RFC 1035 4.1).
    const end = asked.payload.indexOf(0, 12) + 5;
    const isAddress = asked.payload[end - 3] === 1;
    const [high, low] = asked.payload;
    const answer = [high!, low!, 0x81, 0x80, 0, 1, 0, isAddress ? 1 : 0, 0, 0, 0, 0, ...asked.payload.subarray(12, end)];
    session.send(DATA, asked.stream, isAddress ? [...answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 9] : answer);
    if (isAddress) break;
    query = await session.next();
    while (query.type === CLOSE) query = await session.next();
  }
  equal(await looking, '198.51.100.9');
  await guest.unplug();
  await close();
});

test('wisp: a lost WebSocket resets connections and is opened again', async () => {
  const { guest, server, reports, close } = await openWispWorld();
  const session = await server.session();
  await reports('up');
  const connecting = guest.stack.tcp.connect({ host: HOST, port: 80 });
  await session.next();
  const connection = await connecting;
  const lost = rejects(readText(connection, 1), { code: 'ECONNRESET' });
  session.lose();
  const { error } = await reports('down');
  ok(error?.message.includes('1006'), error?.message);
  await lost;
  const next = await server.session(1);
  await reports('up');
  // It is known by now which version the server speaks.
  equal(server.tried.length, 3);
  const again = guest.stack.tcp.connect({ host: HOST, port: 81 });
  equal((await next.next()).port, 81);
  await again;
  await close();
});

test('wisp: a server that cannot be reached is tried again, and its guests wait', async () => {
  const { guest, server, reports, close } = await openWispWorld({ unreachable: true });
  await reports('down');
  const connecting = guest.stack.tcp.connect({ host: HOST, port: 80 });
  await reports('down');
  server.options.unreachable = false;
  const session = await server.session();
  equal((await session.next()).port, 80);
  await connecting;
  await close();
});

test('wisp: a password is given, and its refusal told', async () => {
  const { server, reports, close } = await openWispWorld(
    { version2: true, credit: null, extensions: extension(PASSWORD, [1]) },
    { username: 'me', password: 'secret' },
  );
  const session = await server.session();
  const { payload } = await session.next();
  deepEqual([...payload.subarray(0, 2), ...payload.subarray(2)], [2, 0, ...extension(PASSWORD, [2, ...text.encode('mesecret')])]);
  session.send(CLOSE, 0, [0xc0]);
  const { error } = await reports('down');
  ok(error?.message.includes('wrong name or password'), error?.message);
  await close();
});

test('wisp: a challenge is signed', async () => {
  let pair: CryptoKeyPair;
  try {
    pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
  } catch {
    // Not every runtime knows the curve.
    return;
  }
  const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey));
  const challenge = pattern(64);
  const { server, reports, close } = await openWispWorld(
    { version2: true, extensions: extension(KEY, [1, 1, ...challenge]) },
    { privateKey: pair.privateKey, publicKey },
  );
  const session = await server.session();
  const { payload } = await session.next();
  const [id, algorithm] = [payload[2], payload[7]];
  deepEqual([id, algorithm], [KEY, 1]);
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', publicKey));
  deepEqual(payload.slice(8, 40), hash);
  ok(await crypto.subtle.verify('Ed25519', pair.publicKey, payload.slice(40), challenge.slice()));
  await reports('up');
  await close();
});

test('wisp: a WebSocket that cannot be made, and none at all, are told and not thrown', async () => {
  const { lan, wisp, guest, reports, close } = await openWispWorld({ unreachable: true }, undefined, 'wisps://wisp.test:444/path/');
  await reports('down');
  wisp.close();
  // What comes after is refused.
  const connecting = guest.stack.tcp.connect({ host: HOST, port: 80 });
  await rejects(connecting, { code: 'EHOSTUNREACH' });
  ok(lan.stats().flows === 0);
  await close();
});

test('wisp: closing resets what is open', async () => {
  const { guest, server, wisp, close } = await openWispWorld();
  const session = await server.session();
  const connecting = guest.stack.tcp.connect({ host: HOST, port: 80 });
  await session.next();
  const connection = await connecting;
  wisp.close();
  await rejects(readText(connection, 1), { code: 'ECONNRESET' });
  equal(session.socket.readyState, 3);
  await close();
});
