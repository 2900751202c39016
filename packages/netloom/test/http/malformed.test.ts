/** What a server answers, and a client makes, of messages that break the rules: every row is one message. */
import { createHttp } from '../../src/http/index.ts';
import { deepEqual, equal, rejects, test } from '../harness.ts';
import { MemoryNetwork } from './memory.ts';
import { Peer } from './peer.ts';

const HOST = 'Host: a\r\n';
const post = (fields: string, body = '') => `POST / HTTP/1.1\r\n${HOST}${fields}\r\n\r\n${body}`;
const get = (fields: string) => `GET / HTTP/1.1\r\n${fields}\r\n\r\n`;
const chunked = (body: string) => post('Transfer-Encoding: chunked', body);

/** Name, message, and the status it gets; each is followed by a request that must not be read, or read as the next. */
const REQUESTS: [string, string, number][] = [
  ['nonsense', 'nonsense\r\n\r\n', 400],
  ['no version', 'GET /\r\n\r\n', 400],
  ['two spaces', `GET  / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a tab for a space', `GET\t/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a space behind', `GET / HTTP/1.1 \r\n${HOST}\r\n`, 400],
  ['a space before', ` GET / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a method that is no token', `GE(T / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target with a fragment', `GET /#a HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target beyond ASCII', `GET /\xff HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target without slash', `GET a HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an absolute target of another scheme', `GET ftp://a/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an absolute target with credentials', `GET http://a:b@c/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an asterisk for GET', `GET * HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a CONNECT without port', `CONNECT a HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['HTTP/2', `GET / HTTP/2.0\r\n${HOST}\r\n`, 505],
  ['HTTP/0.9', `GET / HTTP/0.9\r\n${HOST}\r\n`, 505],
  ['lower case', `GET / http/1.1\r\n${HOST}\r\n`, 400],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  ['a bare LF after the request line', `GET / HTTP/1.1\n${HOST}\r\n`, 400],
  ['a bare LF after a field', get('Host: a\nX: y'), 400],
  ['a bare CR in a field', get('Host: a\rX: y'), 400],
  ['a bare CR before CRLF', get('Host: a\r'), 400],
  ['a NUL in a field', get(`${HOST}X: a\0b`), 400],
  ['a control character in a field', get(`${HOST}X: a\x01b`), 400],
  ['a folded field', get(`${HOST}X: a\r\n b`), 400],
  ['white space before the first field', get(` ${HOST}X: a`), 400],
  ['a space before the colon', get(`${HOST}X : a`), 400],
  ['no colon', get(`${HOST}X`), 400],
  ['no name', get(`${HOST}: a`), 400],
  ['no Host', get('X: y'), 400],
  ['two Hosts', get('Host: a\r\nHost: a'), 400],
  ['a Host with a path', get('Host: a/b'), 400],
  ['a Host with credentials', get('Host: a@b'), 400],
  ['a Host with a space', get('Host: a b'), 400],
  ['a Host with a port too large', get('Host: a:65536'), 400],
  ['a head too long', get(`${HOST}X: ${'x'.repeat(20000)}`), 431],
  ['a request line too long', `GET /${'x'.repeat(20000)} HTTP/1.1\r\n${HOST}\r\n`, 431],
  ['too many fields', get(`${HOST}${'X: y\r\n'.repeat(200)}Z: z`), 431],
  ['two lengths', post('Content-Length: 1\r\nContent-Length: 2', 'ab'), 400],
  ['two equal lengths', post('Content-Length: 1\r\nContent-Length: 1', 'a'), 400],
  ['a list of lengths', post('Content-Length: 1, 1', 'a'), 400],
  ['a negative length', post('Content-Length: -1'), 400],
  ['a length with a sign', post('Content-Length: +1', 'a'), 400],
  ['a length in hexadecimal', post('Content-Length: 0x1', 'a'), 400],
  ['a length with a fraction', post('Content-Length: 1.0', 'a'), 400],
  ['a length that is empty', post('Content-Length:'), 400],
  ['a length too large for a number', post('Content-Length: 9007199254740993'), 400],
  ['a length and chunks', post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), 400],
  ['chunks and a length', post('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n'), 400],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked', '0\r\n\r\n'), 400],
  ['chunked in two fields', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), 400],
  ['chunked not last', post('Transfer-Encoding: chunked, gzip', '0\r\n\r\n'), 400],
  ['a coding without chunked', post('Transfer-Encoding: gzip', 'a'), 400],
  ['identity', post('Transfer-Encoding: identity', 'a'), 400],
  ['a coding that is nearly chunked', post('Transfer-Encoding: xchunked', '0\r\n\r\n'), 400],
  ['a coding with a vertical tab', post('Transfer-Encoding: \x0bchunked', '0\r\n\r\n'), 400],
  ['gzip, then chunked', post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n'), 501],
  ['an empty coding', post('Transfer-Encoding:', ''), 400],
  ['chunks in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['an unknown expectation', post('Expect: something\r\nContent-Length: 1', 'a'), 417],
  ['a chunk size that is none', chunked('x\r\na\r\n0\r\n\r\n'), 400],
  ['a chunk size with prefix', chunked('0x1\r\na\r\n0\r\n\r\n'), 400],
  ['a chunk size with a sign', chunked('+1\r\na\r\n0\r\n\r\n'), 400],
  ['a negative chunk size', chunked('-1\r\na\r\n0\r\n\r\n'), 400],
  ['an empty chunk size', chunked('\r\na\r\n0\r\n\r\n'), 400],
  ['a space before a chunk size', chunked(' 1\r\na\r\n0\r\n\r\n'), 400],
  ['a chunk size beyond numbers', chunked('ffffffffffffffff\r\na\r\n'), 400],
  ['a chunk longer than its size', chunked('1\r\nab\r\n0\r\n\r\n'), 400],
  ['a chunk ended by LF', chunked('1\r\na\n0\r\n\r\n'), 400],
  ['a chunk size ended by LF', chunked('1\na\r\n0\r\n\r\n'), 400],
  ['a bare CR in an extension', chunked('1;a\rb\r\na\r\n0\r\n\r\n'), 400],
  ['an extension without end', chunked(`1;${'x'.repeat(5000)}\r\na\r\n0\r\n\r\n`), 400],
  ['too many extensions', chunked(`1;${'x'.repeat(3000)}\r\na\r\n`.repeat(6)), 400],
  ['a trailer that is none', chunked('0\r\nX y\r\n\r\n'), 400],
  ['trailers too long', chunked(`0\r\nX: ${'y'.repeat(20000)}\r\n\r\n`), 431],
];

for (const [name, message, status] of REQUESTS) {
  test(`a request with ${name} is refused with ${status}`, async () => {
    const network = new MemoryNetwork();
    const { serve } = await createHttp(network);
    const paths: string[] = [];
    const errors: unknown[] = [];
    await serve({ port: 80, onError: (error) => errors.push(error) }, async (request) => {
      paths.push(new URL(request.url).pathname);
      return new Response(await request.text());
    });
    const peer = new Peer(await network.connect({ host: 'a', port: 80 }));
    await peer.send(`${message}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
    const answer = await peer.until();
    equal(answer.slice(0, 13), `HTTP/1.1 ${status} `);
    equal(answer.slice(answer.indexOf('\r\n')), '\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    equal(paths.includes('/smuggled'), false);
    deepEqual(errors, []);
  });
}

const ok = (fields: string, body = '') => `HTTP/1.1 200 OK\r\n${fields}\r\n\r\n${body}`;

const RESPONSES: [string, string][] = [
  ['nonsense', 'nonsense\r\n\r\n'],
  ['the answer of another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
  ['status 600', 'HTTP/1.1 600 What\r\ncontent-length: 0\r\n\r\n'],
  ['a control character in the reason', 'HTTP/1.1 200 O\x01K\r\ncontent-length: 0\r\n\r\n'],
  ['a bare LF', 'HTTP/1.1 200 OK\ncontent-length: 0\n\n'],
  ['a bare CR', ok('a: b\rcontent-length: 0')],
  ['a folded field', ok('a: b\r\n c\r\ncontent-length: 0')],
  ['a space before the colon', ok('content-length : 0')],
  ['a field without colon', ok('content-length 0')],
  ['a NUL', ok('a: \0\r\ncontent-length: 0')],
  ['a head too long', ok(`a: ${'b'.repeat(20000)}`)],
  ['too many fields', ok('a: b\r\n'.repeat(200))],
  ['two lengths', ok('content-length: 1\r\ncontent-length: 2', 'ab')],
  ['a list of lengths', ok('content-length: 1, 1', 'a')],
  ['a negative length', ok('content-length: -1')],
  ['a length and chunks', ok('content-length: 1\r\ntransfer-encoding: chunked', '0\r\n\r\n')],
  ['chunked twice', ok('transfer-encoding: chunked, chunked', '0\r\n\r\n')],
  ['chunked not last', ok('transfer-encoding: chunked, gzip', '0\r\n\r\n')],
  ['an unknown coding', ok('transfer-encoding: gzip, chunked', '0\r\n\r\n')],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a switch nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ['a chunk size that is none', ok('transfer-encoding: chunked', 'x\r\n')],
  ['a chunk longer than its size', ok('transfer-encoding: chunked', '1\r\nab\r\n0\r\n\r\n')],
  ['too many extensions', ok('transfer-encoding: chunked', `1;${'x'.repeat(3000)}\r\na\r\n`.repeat(6))],
  ['trailers that are none', ok('transfer-encoding: chunked', '0\r\nx\r\n\r\n')],
  ['an end within the head', 'HTTP/1.1 200 OK\r\ncontent-le'],
  ['an end within the body', ok('content-length: 10', 'hello')],
  ['an end within a chunk', ok('transfer-encoding: chunked', 'a\r\nhello')],
  ['an end before the last chunk', ok('transfer-encoding: chunked', '5\r\nhello\r\n')],
  ['an end within the trailers', ok('transfer-encoding: chunked', '0\r\nx: y\r\n')],
];

for (const [name, message] of RESPONSES) {
  test(`a response with ${name} is refused`, async () => {
    const network = new MemoryNetwork();
    const listener = await network.listen({ port: 80 });
    const { fetch } = await createHttp(network);
    const asked = rejects(
      fetch('http://a/').then((response) => response.text()),
      { name: 'TypeError' },
    );
    const peer = new Peer((await listener.accept())!);
    await peer.until('\r\n\r\n');
    await peer.send(message);
    await peer.end();
    await asked;
    // The connection serves nothing more.
    await rejects(peer.until('never'));
  });
}

/** What only looks wrong. */
const BORNE: [string, string, string][] = [
  ['no reason', 'HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok', 'ok'],
  ['no reason and no space', 'HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok', 'ok'],
  ['HTTP/1.0 and the end of the connection', 'HTTP/1.0 200 OK\r\n\r\nok', 'ok'],
  ['no length', 'HTTP/1.1 200 OK\r\n\r\nok', 'ok'],
  ['bytes beyond ASCII in a field', 'HTTP/1.1 200 OK\r\nx: \xe9\r\ncontent-length: 2\r\n\r\nok', 'ok'],
  ['chunks with extensions and leading zeros', ok('transfer-encoding: Chunked', '0002 ;a="b"\r\nok\r\n00\r\n\r\n'), 'ok'],
  ['a body after 205', 'HTTP/1.1 205 Reset Content\r\ncontent-length: 2\r\n\r\nok', ''],
];

for (const [name, message, body] of BORNE) {
  test(`a response with ${name} is borne`, async () => {
    const network = new MemoryNetwork();
    const listener = await network.listen({ port: 80 });
    const { fetch } = await createHttp(network);
    const asked = fetch('http://a/');
    const peer = new Peer((await listener.accept())!);
    await peer.send(message);
    await peer.end();
    equal(await (await asked).text(), body);
  });
}

test('messages may arrive byte by byte', async () => {
  const network = new MemoryNetwork();
  const { serve } = await createHttp(network);
  await serve(async (request) => new Response(await request.text()));
  const peer = new Peer(await network.connect({ host: 'a', port: 80 }));
  for (const letter of `\r\n${chunked('5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n')}`) await peer.send(letter);
  equal((await peer.until('0\r\n\r\n')).split('\r\n\r\n')[1], '6\r\nhello!\r\n0');
});
