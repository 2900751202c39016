/** The `fetch` backend in a page of Chromium, with the browser's own fetch and its rules. What is asked is driven from outside. */
import { inPage } from '../../../src/v86/backends/fetch/platform.ts';
import { setUp } from './setup.ts';

type Page = typeof globalThis & {
  /** Sends the text on a guest's connection, and gives what is answered, with what was fetched for it. */
  ask(text: string, corsProxy: string): Promise<{ answer: string; urls: string[]; inPage: boolean }>;
  /** Opens a WebSocket of a guest, says a word, and gives the answer. */
  say(url: string, word: string): Promise<string>;
};
const page = globalThis as Page;

page.ask = async (text, corsProxy) => {
  const { ask, calls } = await setUp((url, init) => fetch(url, init), { corsProxy });
  const answer = await ask(text);
  return { answer, urls: calls.map(({ url, init }) => `${init.method} ${url}`), inPage };
};

page.say = async (url, word) => {
  const { network } = await setUp((to, init) => fetch(to, init), { WebSocket });
  const { createHttp } = await import('../../../src/http/index.ts');
  const { openWebSocket } = await createHttp({ connect: () => network.connect({ host: '10.0.0.2', port: 80 }) });
  const socket = await openWebSocket(url, { protocols: ['chat'] });
  await socket.writable.getWriter().write(word);
  const { value } = await socket.readable.getReader().read();
  void socket.close();
  return `${socket.protocol} ${value}`;
};
