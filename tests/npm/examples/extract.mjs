// The examples of the sources: every fenced block of an `@example` tag.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../packages/netloom/', import.meta.url));

/** Each example's place in the sources and its code. */
export function examples() {
  return readdirSync(`${root}src`, { recursive: true })
    .map((file) => String(file))
    .filter((file) => file.endsWith('.ts') && !file.startsWith('engine/inline/'))
    .sort()
    .flatMap((file) => ofFile(file, readFileSync(`${root}src/${file}`, 'utf8')));
}

function ofFile(file, text) {
  const found = [];
  for (const comment of text.matchAll(/\/\*\*.*?\*\//gs)) {
    // A tag's text ends where the next tag begins.
    for (const tag of comment[0].matchAll(/^\s*\* @example\b(.*?)(?=^\s*\* @\w|\*\/)/gms)) {
      const line = text.slice(0, comment.index + tag.index).split('\n').length + 1;
      const body = tag[1].replace(/^\s*\* ?/gm, '');
      const blocks = [...body.matchAll(/^```(\w*)\n(.*?)^```/gms)];
      if (blocks.length === 0) found.push({ place: `src/${file}:${line}`, code: undefined });
      for (const [, language, code] of blocks) {
        if (/^(ts|js|typescript|javascript)?$/.test(language)) found.push({ place: `src/${file}:${line}`, code });
      }
    }
  }
  return found;
}
