/** Values as a failed test prints them. */

const LONGEST = 2_000;
const MOST_BYTES = 64;

/** One line that tells what a value is. */
export function show(value: unknown): string {
  const text = render(value, new Set());
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}… (${text.length} characters)`;
}

function render(value: unknown, above: Set<object>): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '-0' : String(value);
  if (above.has(value)) return '[circular]';
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof RegExp) return String(value);
  if (value instanceof Date) return `Date ${value.getTime()}`;
  if (value instanceof ArrayBuffer) return `ArrayBuffer ${hex(new Uint8Array(value))}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} ${hex(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))}`;
  above.add(value);
  const inner = (item: unknown) => render(item, above);
  const text = Array.isArray(value)
    ? `[${value.map(inner).join(', ')}]`
    : value instanceof Map
      ? `Map {${[...value].map(([key, item]) => `${inner(key)} => ${inner(item)}`).join(', ')}}`
      : value instanceof Set
        ? `Set {${[...value].map(inner).join(', ')}}`
        : `{${Object.entries(value)
            .map(([key, item]) => `${key}: ${inner(item)}`)
            .join(', ')}}`;
  above.delete(value);
  return text;
}

function hex(bytes: Uint8Array): string {
  const shown = [...bytes.subarray(0, MOST_BYTES)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `(${bytes.length}) ${shown}${bytes.length > MOST_BYTES ? ' …' : ''}`;
}
