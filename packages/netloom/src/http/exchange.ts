/**
 * One request and its answer on one connection (RFC 9112), from the client's side.
 *
 * @module
 */
import { BodyReader } from './body.ts';
import type { Channel } from './channel.ts';
import { HttpProtocolError } from './errors.ts';
import { responseFraming } from './framing.ts';
import { hasToken, persists, readResponseHead, type ResponseHead } from './head.ts';
import type { Limits } from './limits.ts';
import { requestFields, type Outgoing } from './outgoing.ts';
import { ContentError, encodeHead, sendMessage } from './send.ts';

/** Interim answers (1xx) that one request may get. */
const MAX_INTERIM = 32;
/** Milliseconds after which a body is sent although no `100 Continue` came (RFC 9110 10.1.1). */
const CONTINUE_MS = 1000;
/** Milliseconds that the rest of a request may take when its answer is complete already. */
const OVERTAKEN_MS = 1000;

/** An answer whose body is still on the connection. */
export type Answer = {
  head: ResponseHead;
  body: BodyReader;
};

/** Resolves with the final answer's head, or that of a protocol switch. */
async function readAnswerHead(channel: Channel, limits: Limits, onContinue?: () => void): Promise<ResponseHead> {
  for (let interim = 0; interim <= MAX_INTERIM; interim++) {
    const head = await readResponseHead(channel.source, limits);
    if (head.status >= 200 || head.status === 101) return head;
    if (head.status === 100) onContinue?.();
  }
  throw new HttpProtocolError('too many interim responses');
}

/** Sends the head, and the body once it is wanted. `skip` keeps the body back. */
async function send(channel: Channel, out: Outgoing, head: Uint8Array, wanted: Promise<boolean> | undefined): Promise<boolean> {
  const content = out.body?.open() ?? null;
  const framing = out.body?.length === undefined ? 'chunked' : { length: out.body.length };
  if (wanted === undefined || content === null) {
    await sendMessage(channel, head, content, framing, out.body?.trailers);
    return true;
  }
  await channel.sink.write(head);
  if (await wanted) {
    await sendMessage(channel, new Uint8Array(0), content, framing, out.body?.trailers);
    return true;
  }
  if (content instanceof ReadableStream) content.cancel().catch(() => undefined);
  return false;
}

/**
 * Sends a request and reads its answer's head.
 * @param onDone Is told once the answer's body was read and whether the connection can serve another request; not called if it breaks off.
 */
export async function exchange(channel: Channel, out: Outgoing, limits: Limits, onDone: (reusable: boolean, head: ResponseHead) => void): Promise<Answer> {
  channel.sink.idle.limit = limits.bodyTimeout;
  let decide: ((wanted: boolean) => void) | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wanted: Promise<boolean> | undefined;
  if (out.body !== null && hasToken(out.headers, 'expect', '100-continue')) {
    wanted = new Promise((resolve) => (decide = resolve));
    timer = setTimeout(() => decide?.(true), CONTINUE_MS);
  }
  const target = `${out.url.pathname}${out.url.search}`;
  const head = encodeHead(`${out.method} ${target} HTTP/1.1`, requestFields(out));
  let sent: boolean | undefined;
  const sending = send(channel, out, head, wanted).then(
    (whole) => {
      sent = whole;
    },
    (error: unknown) => {
      // A connection that takes no more bytes may still hold the answer; reading it tells.
      if (error instanceof ContentError) channel.break(error.reason);
      sent = false;
    },
  );
  let answer: ResponseHead;
  try {
    let arrived = false;
    const reading = readAnswerHead(channel, limits, () => decide?.(true)).finally(() => (arrived = true));
    const limited = sending.then(() => (arrived ? undefined : channel.within(limits.headersTimeout, () => reading)));
    limited.catch(() => undefined);
    answer = await reading;
    if (answer.status === 101) throw new HttpProtocolError('unasked protocol switch');
  } finally {
    clearTimeout(timer);
    decide?.(false);
  }
  channel.limitIdle(limits.bodyTimeout);
  const framing = responseFraming(out.method, answer);
  const body = new BodyReader(channel.source, framing, limits);
  const end = () => {
    if (sent === undefined) {
      channel.within(OVERTAKEN_MS, () => sending).then(end);
      return;
    }
    const reusable = sent && framing !== 'close' && persists(answer) && !hasToken(out.headers, 'connection', 'close');
    if (!reusable) channel.close();
    onDone(reusable, answer);
  };
  if (body.done) end();
  else body.onEnd = end;
  return { head: answer, body };
}

/** Asks for a protocol switch or a tunnel; resolves with the answer's head, after which the connection is the caller's. */
export async function exchangeUpgrade(
  channel: Channel,
  request: { method: string; target: string; fields: [string, string][] },
  limits: Limits,
): Promise<ResponseHead> {
  const head = encodeHead(`${request.method} ${request.target} HTTP/1.1`, request.fields);
  return channel.within(limits.headersTimeout, async () => {
    await channel.sink.write(head);
    return readAnswerHead(channel, limits);
  });
}
