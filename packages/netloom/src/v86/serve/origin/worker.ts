/**
 * The service worker of the guests' origin: whatever a frame asks here, the guest's page is asked for, through the bridge.
 * A plain script, which imports nothing: it is served beside `bridge.html`.
 */
{
  type Client = { readonly url: string; postMessage(message: unknown, transfer: Transferable[]): void };
  type FetchEvent = Event & { readonly request: Request; respondWith(response: Promise<Response>): void };
  type Scope = {
    skipWaiting(): Promise<void>;
    addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void;
    addEventListener(type: 'install' | 'activate', listener: (event: Event & { waitUntil(work: Promise<unknown>): void }) => void): void;
    readonly clients: { claim(): Promise<void>; matchAll(options: { type: 'window'; includeUncontrolled: boolean }): Promise<Client[]> };
  };
  type Answer =
    | { type: 'head'; status: number; statusText: string; fields: [string, string][]; empty: boolean }
    | { type: 'chunk'; bytes: Uint8Array<ArrayBuffer> }
    | { type: 'end' }
    | { type: 'error'; reason: string }
    | { type: 'absent' };

  const scope = globalThis as unknown as Scope;
  /** Milliseconds until the page has failed to answer. */
  const ANSWER_MS = 60_000;
  /** The files that are this origin's own. */
  const OWN = ['bridge.html', 'bridge.js', 'worker.js'].map((name) => new URL(name, location.href).pathname);
  const BRIDGE = OWN[0]!;

  const failure = (status: number, text: string) => new Response(text, { status, headers: { 'content-type': 'text/plain' } });

  const bodyOf = (port: MessagePort, take: () => Promise<Answer>) =>
    new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          port.postMessage({ type: 'pull' });
          const answer = await take();
          if (answer.type === 'chunk') controller.enqueue(answer.bytes);
          else if (answer.type === 'end') controller.close();
          else controller.error(new Error(answer.type === 'error' ? answer.reason : 'the guest is gone'));
        },
        cancel: () => port.postMessage({ type: 'cancel' }),
      },
      { highWaterMark: 0 },
    );

  /** What the page behind `client` answers; `undefined` if there is none any more. */
  const ask = async (client: Client, request: Request): Promise<Response | undefined> => {
    const { pathname, search } = new URL(request.url);
    const body = request.method === 'GET' || request.method === 'HEAD' ? undefined : await request.arrayBuffer();
    const { port1, port2 } = new MessageChannel();
    // Answers come one by one, each when the one before was taken.
    let give: ((answer: Answer) => void) | undefined;
    port1.onmessage = ({ data }: MessageEvent<Answer>) => give?.(data);
    const take = () => new Promise<Answer>((resolve) => (give = resolve));
    const late = new Promise<undefined>((resolve) => setTimeout(resolve, ANSWER_MS, undefined));
    const head = Promise.race([take(), late]);
    const transfer: Transferable[] = body ? [port2, body] : [port2];
    client.postMessage({ type: 'request', method: request.method, path: pathname + search, fields: [...request.headers], body }, transfer);
    request.signal.addEventListener('abort', () => port1.postMessage({ type: 'cancel' }));
    const answer = await head;
    if (answer?.type !== 'head') {
      port1.postMessage({ type: 'cancel' });
      if (answer === undefined) return failure(504, 'The guest did not answer in time.');
      return answer.type === 'error' ? failure(502, `The guest's server failed: ${answer.reason}`) : undefined;
    }
    const { status, statusText, fields, empty } = answer;
    return new Response(empty ? null : bodyOf(port1, take), { status, statusText, headers: fields });
  };

  const answer = async (request: Request): Promise<Response> => {
    const windows = await scope.clients.matchAll({ type: 'window', includeUncontrolled: true });
    const bridges = windows.filter(({ url }) => new URL(url).pathname === BRIDGE);
    // Where pages of one browser have bridges here, all but the latest have lost their guest.
    for (const bridge of bridges) {
      const response = await ask(bridge, request.clone());
      if (response) return response;
    }
    return failure(502, 'No page with a guest is open.');
  };

  scope.addEventListener('install', (event) => event.waitUntil(scope.skipWaiting()));
  scope.addEventListener('activate', (event) => event.waitUntil(scope.clients.claim()));
  scope.addEventListener('fetch', (event) => {
    const { request } = event;
    const url = new URL(request.url);
    if (url.origin === location.origin && !OWN.includes(url.pathname)) event.respondWith(answer(request));
  });
}
