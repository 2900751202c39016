/**
 * The tests' own harness: one file of tests runs in Node, Deno, Bun and browsers, in a window and in a worker.
 *
 * `test` queues. The queue runs by itself once the file is evaluated (`npx tsx test/dns/client.test.ts`), unless a runner has taken it
 * over; tests run one after the other and print TAP. A rejection that nobody handles fails the test during which it came.
 */
import { show } from './harness/show.ts';
import { same } from './harness/same.ts';

export { fillPattern, pattern } from './harness/pattern.ts';

/** What a test is given. */
export type TestContext = {
  /** Aborts when the test has outlived its limit. */
  readonly signal: AbortSignal;
};

export type TestOptions = {
  /** Seconds that the test may take: generous, as it only ends what hangs. Default 60. */
  limitSeconds?: number;
  /** Runs at full size only. */
  full?: boolean;
};

type Test = TestOptions & { name: string; body: (context: TestContext) => unknown };
export type Results = { passed: number; failed: string[]; skipped: number };
type Shared = { queue: Test[]; results: Results; runner: boolean; running: boolean; troubles: string[]; watching: boolean };

type Host = {
  process?: {
    env: Record<string, string | undefined>;
    exitCode?: number | string;
    on(event: string, listener: (error: unknown) => void): void;
    versions: Record<string, string>;
  };
};
const host = (globalThis as Host).process;

const LIMIT_SECONDS = 60;
/** Turns of the event loop after a test in which what it left behind may still fail it. */
const TURNS = 3;
// Bundles may hold this module more than once; the queue is one.
const SHARED = Symbol.for('netloom.tests');
const shared: Shared = ((globalThis as Record<symbol, unknown>)[SHARED] ??= {
  queue: [],
  results: { passed: 0, failed: [], skipped: 0 },
  runner: false,
  running: false,
  troubles: [],
  watching: false,
}) as Shared;

/** Where the tests run. */
export const runtime: 'node' | 'deno' | 'bun' | 'window' | 'worker' =
  'Deno' in globalThis ? 'deno' : 'Bun' in globalThis ? 'bun' : host?.versions?.['node'] ? 'node' : 'document' in globalThis ? 'window' : 'worker';

/** Whether tests take their full size (`NETLOOM_FULL`). */
export const full: boolean = Boolean(host?.env['NETLOOM_FULL'] ?? (globalThis as { NETLOOM_FULL?: string }).NETLOOM_FULL);

/** Queues a test; it fails if `body` throws, rejects or outlives its limit. */
export function test(name: string, body: (context: TestContext) => unknown, options: TestOptions = {}): void {
  shared.queue.push({ ...options, name, body });
  if (!shared.runner && !shared.running) {
    shared.running = true;
    setTimeout(async () => {
      const results = await drain({});
      console.log(plan(results));
      if (results.failed.length > 0 && host) host.exitCode = 1;
    });
  }
}

/** Takes the queue over from the file that is run. */
export function takeOver(): void {
  shared.runner = true;
}

/** Runs what is queued, of which `only` leaves the names that hold it. */
export async function drain({ only = '', print = console.log as (line: string) => void }): Promise<Results> {
  watch();
  shared.running = true;
  const { results } = shared;
  let next;
  while ((next = shared.queue.shift())) {
    const { name } = next;
    if (!name.includes(only)) continue;
    const number = results.passed + results.failed.length + results.skipped + 1;
    if (next.full && !full) {
      results.skipped += 1;
      print(`ok ${number} - ${name} # SKIP full size only`);
      continue;
    }
    const trouble = await run(next);
    if (trouble === undefined) {
      results.passed += 1;
      print(`ok ${number} - ${name}`);
    } else {
      results.failed.push(name);
      print(`not ok ${number} - ${name}\n${trouble.replaceAll(/^/gm, '  # ')}`);
    }
  }
  shared.running = false;
  return results;
}

/** The lines that end a run. */
export function plan({ passed, failed, skipped }: Results): string {
  const names = failed.map((name) => `# failed: ${name}\n`).join('');
  return `1..${passed + failed.length + skipped}\n${names}# pass ${passed}\n# fail ${failed.length}\n# skipped ${skipped}`;
}

/** Runs one test; returns what went wrong. */
async function run({ body, limitSeconds = LIMIT_SECONDS }: Test): Promise<string | undefined> {
  shared.troubles.length = 0;
  const abort = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`not done after ${limitSeconds} s`));
      abort.abort();
    }, limitSeconds * 1000);
  });
  try {
    await Promise.race([(async () => await body({ signal: abort.signal }))(), limit]);
  } catch (error) {
    shared.troubles.push(describe(error));
  } finally {
    clearTimeout(timer);
  }
  // Rejections are found unhandled after the microtasks, in a browser by a task of its own; they belong to this test.
  for (let turn = 0; turn < TURNS; turn += 1) await new Promise((resolve) => setTimeout(resolve));
  return shared.troubles.length === 0 ? undefined : shared.troubles.splice(0).join('\n');
}

function watch(): void {
  if (shared.watching) return;
  shared.watching = true;
  const trouble = (what: string) => (error: unknown) => {
    const text = `${what}: ${describe(error)}`;
    if (shared.running) shared.troubles.push(text);
    else {
      shared.results.failed.push(what);
      console.log(`not ok - after the last test\n${text.replaceAll(/^/gm, '  # ')}`);
      if (host) host.exitCode = 1;
    }
  };
  if (host && runtime !== 'deno') {
    host.on('unhandledRejection', trouble('unhandled rejection'));
    host.on('uncaughtException', trouble('uncaught error'));
    return;
  }
  addEventListener('unhandledrejection', (event) => {
    event.preventDefault();
    trouble('unhandled rejection')(event.reason);
  });
  addEventListener('error', (event) => {
    event.preventDefault();
    trouble('uncaught error')((event as ErrorEvent).error ?? (event as ErrorEvent).message);
  });
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return show(error);
  const code = 'code' in error ? ` [${String(error.code)}]` : '';
  const stack = error.stack ?? '';
  const text = stack.includes(error.message) ? stack : `${error.name}: ${error.message}\n${stack}`;
  return text + code + (error.cause === undefined ? '' : `\ncaused by ${describe(error.cause)}`);
}

/** A claim of a test that does not hold. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

function fail(text: string, message: string | undefined): never {
  throw new AssertionError(message === undefined ? text : `${message}: ${text}`);
}

/** `value` is true, or as good as. */
export function ok(value: unknown, message?: string): asserts value {
  if (!value) fail(`${show(value)} is not true`, message);
}

/** Both are the same value (`Object.is`). */
export function equal<T>(actual: unknown, expected: T, message?: string): asserts actual is T {
  if (!Object.is(actual, expected)) fail(`${show(actual)} is not ${show(expected)}`, message);
}

/** Both have the same content: arrays, views, maps, sets, dates and plain objects, as deep as they go. */
export function deepEqual(actual: unknown, expected: unknown, message?: string): void {
  if (!same(actual, expected)) fail(`${show(actual)} has not the content ${show(expected)}`, message);
}

/** What an error must be. */
export type Expected = { code?: string; name?: string; message?: string | RegExp };

/** The promise, or what the function gives, rejects with an error of this kind; resolves with it. */
export async function rejects(promise: Promise<unknown> | (() => Promise<unknown>), expected: Expected = {}): Promise<Error> {
  let value;
  try {
    value = await (typeof promise === 'function' ? promise() : promise);
  } catch (error) {
    return expect(error, expected);
  }
  fail(`resolved with ${show(value)} instead of rejecting with ${show(expected)}`, undefined);
}

/** The function throws an error of this kind; returns it. */
export function throws(body: () => unknown, expected: Expected = {}): Error {
  let value;
  try {
    value = body();
  } catch (error) {
    return expect(error, expected);
  }
  fail(`returned ${show(value)} instead of throwing ${show(expected)}`, undefined);
}

function expect(error: unknown, { code, name, message }: Expected): Error {
  // DOMException is no Error in every engine's `instanceof` across realms; what counts is its face.
  if (typeof error !== 'object' || error === null || !('message' in error)) fail(`${show(error)} is not an error`, undefined);
  const { code: itsCode, name: itsName, message: itsMessage } = error as { code?: unknown; name?: unknown; message: string };
  const right =
    (code === undefined || itsCode === code) &&
    (name === undefined || itsName === name) &&
    (message === undefined || (typeof message === 'string' ? itsMessage === message : message.test(itsMessage)));
  if (!right) fail(`${itsName} [${itsCode}] ${show(itsMessage)} is not ${show({ code, name, message })}`, undefined);
  return error as Error;
}
