import { main } from './app.js';

main().then(
  (text) => (globalThis.outcome = text),
  (error) => (globalThis.outcome = String(error.stack)),
);
