/**
 * Runs one case in a page, named in its address, and tells the server.
 */
import { cases } from './cases.mjs';

const name = new URLSearchParams(location.search).get('case');
const tell = (what, body) => fetch(`/${what}`, { method: 'POST', body: JSON.stringify(body) });
try {
  const library = await import('/netloom/index.js');
  await tell('began', {});
  await tell('ended', await cases[name].run(library));
} catch (error) {
  await tell('failed', { message: String(error?.stack ?? error) });
}
