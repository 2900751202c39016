/** Bytes changed at random: whatever a peer sends, HTTP answers, ends or breaks off, and nothing is left hanging. The harness fails on rejections that nobody handles. */
import { createHttp, upgradeWebSocket } from '../../src/http/index.ts';
import { full, test } from '../harness.ts';
import { MemoryNetwork } from './memory.ts';
import { Peer, bytesOf, textOf } from './peer.ts';

const ROUNDS = full ? 20_000 : 1000;

/** A generator of whole numbers below a bound (xorshift32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const PIECES = [
  '\r\n',
  '\n',
  '\r',
  ' ',
  ':',
  '0',
  'ffffffff',
  '\0',
  '\xff',
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close\r\n',
  'Upgrade: x\r\n',
  ';',
  ',',
];

/** `text` with one to four bytes changed, cut, doubled or put in. */
function mutate(text: string, next: (below: number) => number): string {
  for (let change = next(4) + 1; change > 0; change--) {
    const at = next(text.length + 1);
    const piece = [String.fromCharCode(next(256)), PIECES[next(PIECES.length)]!, text.slice(at, at + next(20)), ''][next(4)]!;
    text = text.slice(0, at) + piece + text.slice(at + next(3));
  }
  return text;
}

const REQUESTS = [
  'GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x85\0\0\0\0hello\x89\x80\0\0\0\0\x88\x80\0\0\0\0',
];

test('a server bears changed requests', async () => {
  const next = random(1);
  const network = new MemoryNetwork();
  const { serve } = await createHttp(network);
  const server = await serve({ port: 80, onError: () => undefined }, async (request) => {
    if (request.headers.get('upgrade') === 'websocket') {
      const { response, socket } = upgradeWebSocket(request, { maxMessageSize: 1000 });
      socket.onmessage = ({ data }) => socket.send(data);
      return response;
    }
    return new Response(await request.text());
  });
  for (let round = 0; round < ROUNDS; round++) {
    const peer = new Peer(await network.connect({ host: 'a', port: 80 }));
    await peer.send(mutate(REQUESTS[next(REQUESTS.length)]!, next)).catch(() => undefined);
    await peer.end().catch(() => undefined);
    await peer.until().catch(() => undefined);
  }
  await server.close();
});

const RESPONSES = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  'HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n',
  'HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0',
  'HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
];

test('a client bears changed responses', async () => {
  const next = random(2);
  const network = new MemoryNetwork();
  const listener = await network.listen({ port: 80 });
  const { fetch } = await createHttp(network, { headersTimeout: 1000, bodyTimeout: 1000 });
  void (async () => {
    for await (const connection of listener) {
      const answer = bytesOf(mutate(RESPONSES[next(RESPONSES.length)]!, next));
      const peer = new Peer(connection);
      void peer
        .send(textOf(answer))
        .then(() => peer.end())
        .catch(() => undefined);
    }
  })();
  for (let round = 0; round < ROUNDS; round++)
    await fetch('http://a/')
      .then((response) => response.text())
      .catch(() => undefined);
  await listener.close();
});
