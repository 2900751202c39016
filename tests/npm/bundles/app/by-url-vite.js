import url from 'netloom/netloom.wasm?url';
import { main } from './app.js';

main({ wasm: url }).then(
  (text) => (globalThis.outcome = text),
  (error) => (globalThis.outcome = String(error.stack)),
);
