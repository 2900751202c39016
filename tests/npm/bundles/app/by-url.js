import url from 'netloom/netloom.wasm';
import { main } from './app.js';

main({ wasm: new URL(url, import.meta.url) }).then(
  (text) => (globalThis.outcome = text),
  (error) => (globalThis.outcome = String(error.stack)),
);
