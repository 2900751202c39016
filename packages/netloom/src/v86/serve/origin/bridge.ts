/**
 * The bridge between a guest's page and the service worker of the guest's origin: it hands requests on, and looks at nothing in them.
 * A plain script, which imports nothing: it is served beside `bridge.html`.
 */
{
  /** Other bridges of this origin, in pages of the same browser: the latest one has it. */
  const others = new BroadcastChannel('netloom-bridge');
  let guest: MessagePort | undefined;

  const open = async (port: MessagePort, page: string) => {
    const allowed = (document.documentElement.dataset['pages'] ?? '').split(/\s+/).filter((origin) => origin !== '');
    if (allowed.length > 0 && !allowed.includes(page)) return port.postMessage({ type: 'refused', reason: `${page} is not one of its pages` });
    try {
      if (!navigator.serviceWorker) throw new Error('this browser gives it no service worker');
      await navigator.serviceWorker.register('worker.js', { updateViaCache: 'none' });
      const { active } = await navigator.serviceWorker.ready;
      if (active?.state === 'activating') await new Promise((resolve) => active.addEventListener('statechange', resolve, { once: true }));
      guest = port;
      others.postMessage('taken');
      port.postMessage({ type: 'ready' });
    } catch (error) {
      port.postMessage({ type: 'refused', reason: String(error) });
    }
  };

  others.onmessage = () => {
    guest?.postMessage({ type: 'gone' });
    guest = undefined;
  };
  addEventListener('message', ({ source, origin, data, ports }: MessageEvent) => {
    if (source === parent && data?.netloom === 'guest' && ports[0] && !guest) void open(ports[0], origin);
  });
  navigator.serviceWorker?.addEventListener('message', ({ data, ports }) => {
    if (guest && ports[0]) guest.postMessage(data, [...ports]);
    else ports[0]?.postMessage({ type: 'absent' });
  });
  navigator.serviceWorker?.startMessages();
  parent.postMessage({ netloom: 'bridge' }, '*');
}
