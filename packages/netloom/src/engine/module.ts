/**
 * The WebAssembly module: compiled once, shared by all stacks.
 */

/** Where the module comes from when the one inside the package is not wanted. */
export type WasmSource = Loadable | WebAssembly.Module;

type Loadable = URL | string | Response | PromiseLike<Response> | BufferSource;

/** The modules inside the package, of one role. */
export type Inlined = { simd128(): Promise<{ module: string }>; baseline(): Promise<{ module: string }> };

const HOST: Inlined = { simd128: () => import('./inline/simd128.ts'), baseline: () => import('./inline/baseline.ts') };

const compiled = new Map<unknown, Promise<WebAssembly.Module>>();

/** The module of a source; without one, the module inside the package that suits the engine best: of a host, or of another role. */
export function loadModule(source?: WasmSource, inlined = HOST): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return Promise.resolve(source);
  const key = source instanceof URL ? source.href : (source ?? inlined);
  let module = compiled.get(key);
  if (!module) {
    module = source === undefined ? compileInline(inlined) : compile(source as Loadable);
    compiled.set(key, module);
    // What failed may be tried again.
    module.catch(() => compiled.delete(key));
  }
  return module;
}

// A function that returns the lanes of a vector of zeros.
const VECTORS = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

async function compileInline(inlined: Inlined): Promise<WebAssembly.Module> {
  const { module } = WebAssembly.validate(VECTORS) ? await inlined.simd128() : await inlined.baseline();
  const text = atob(module);
  const packed = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) packed[index] = text.charCodeAt(index);
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return WebAssembly.compile(await new Response(unpacked).arrayBuffer());
}

async function compile(source: Loadable): Promise<WebAssembly.Module> {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return WebAssembly.compile(source);
  const response = await (typeof source === 'string' || source instanceof URL ? fetch(source) : source);
  if (!response.ok) throw new TypeError(`the WebAssembly module did not load: ${response.status} ${response.url}`);
  // Servers that do not know the type are common, so it is not compiled as it streams.
  return WebAssembly.compile(await response.arrayBuffer());
}
