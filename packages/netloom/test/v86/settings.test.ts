import { parseBackendUrl } from '../../src/v86/backends/url.ts';
import { readStages } from '../../src/v86/backends/index.ts';
import { readTarget, readTimeouts } from '../../src/v86/settings.ts';
import { deepEqual, equal, test, throws } from '../harness.ts';

test('v86 settings: v86 defaults', () => {
  const { urls, routerMac, routerIp, vmIp, masquerade, dnsMethod, dohUrl, corsProxy, mtu, translate, id, nic } = readTarget('fetch');
  deepEqual(urls, ['fetch']);
  deepEqual([routerMac, routerIp, vmIp], ['52:54:00:01:02:03', '192.168.86.1', '192.168.86.100']);
  deepEqual([masquerade, dnsMethod, dohUrl, corsProxy, mtu, translate], [true, undefined, 'https://cloudflare-dns.com/dns-query', '', 1500, false]);
  deepEqual([id, nic], [undefined, undefined]);
});

test('v86 settings: a whole net_device', () => {
  const settings = readTarget({
    type: 'virtio',
    relay_url: 'wisps://wisp.example/',
    id: 3,
    router_mac: '2:0:0:0:0:A',
    router_ip: '10.5.0.2',
    vm_ip: '10.5.0.15',
    masquerade: false,
    dns_method: 'doh',
    doh_server: 'dns.example:8443',
    cors_proxy: 'https://proxy.example/?url=',
    mtu: 65535,
    mac_address_translation: true,
  });
  deepEqual(settings, {
    nic: 'virtio',
    urls: ['wisps://wisp.example/'],
    id: 3,
    routerMac: '02:00:00:00:00:0a',
    routerIp: '10.5.0.2',
    vmIp: '10.5.0.15',
    masquerade: false,
    dnsMethod: 'doh',
    dohUrl: 'https://dns.example:8443/dns-query',
    corsProxy: 'https://proxy.example/?url=',
    mtu: 65535,
    translate: true,
    gateway: false,
  });
});

test('v86 settings: falsy and unknown values mean what they mean in v86', () => {
  equal(readTarget({ relay_url: 'fetch', masquerade: undefined }).masquerade, true);
  equal(readTarget({ relay_url: 'fetch', dns_method: 'anything' as 'doh' }).dnsMethod, 'doh');
  equal(readTarget({ relay_url: 'fetch', router_ip: '' }).routerIp, '192.168.86.1');
  equal(readTarget({ relay_url: 'fetch', router_ip: '10.0.0.1' }).vmIp, '10.0.0.100');
  equal(readTarget({ type: 'none' }).nic, 'none');
  deepEqual(readTarget({ type: 'ne2k' }).urls, ['none']);
  deepEqual(readTarget({ relay_url: '' }).urls, ['none']);
  deepEqual(readTarget(undefined).urls, ['none']);
});

test('v86 settings: a chain, of URLs and of a net_device', () => {
  deepEqual(readTarget(['netloom://relay.example', 'wisps://w.example/', 'fetch']).urls, ['netloom://relay.example', 'wisps://w.example/', 'fetch']);
  const { urls, corsProxy, mtu } = readTarget(['ws://a.example/', { relay_url: 'fetch', cors_proxy: 'http://p.example/', mtu: 9000 }]);
  deepEqual([urls, corsProxy, mtu], [['ws://a.example/', 'fetch'], 'http://p.example/', 9000]);
  const kinds = readStages(['netloom://r.example', 'wisp://w.example/', 'fetch', 'inbrowser', 'none']).map((stage) => stage.map(({ kind }) => kind));
  deepEqual(kinds, [['uplink'], ['egress', 'egress'], ['uplink'], ['none']]);
});

test('v86 settings: what makes no sense is said at once', () => {
  for (const bad of ['gopher://x/', 'ws://', 'wisp:///', 'fetch:proxy', 'inbrowsers', 'relay.example'])
    throws(() => readTarget(bad), { code: 'EINVAL', message: /URL/ });
  throws(() => readTarget({ relay_url: 'fetch', mtu: 67 }), { code: 'EINVAL', message: /mtu/ });
  throws(() => readTarget({ relay_url: 'fetch', mtu: 65536 }), { code: 'EINVAL', message: /mtu/ });
  throws(() => readTarget({ relay_url: 'fetch', id: -1 }), { code: 'EINVAL', message: /id/ });
  throws(() => readTarget({ relay_url: 'fetch', router_ip: '10.0.0.256' }), { code: 'EINVAL', message: /router_ip/ });
  throws(() => readTarget({ relay_url: 'fetch', vm_ip: 'ten' }), { code: 'EINVAL', message: /vm_ip/ });
  throws(() => readTarget({ relay_url: 'fetch', router_mac: '1:2:3:4:5:6' }), { code: 'EINVAL', message: /group/ });
  throws(() => readTarget({ relay_url: 'fetch', router_mac: '52:54' }), { code: 'EINVAL', message: /router_mac/ });
  throws(() => readTimeouts({ dns: 0 }), { code: 'EINVAL', message: /timeouts\.dns/ });
});

test("v86 settings: URLs of v86's table", () => {
  deepEqual(parseBackendUrl('wss://relay.widgetry.org/'), { scheme: 'wsproxy', sockets: ['wss://relay.widgetry.org/'], corsProxy: '' });
  deepEqual(parseBackendUrl('wisp://localhost:12345'), { scheme: 'wisp', sockets: ['ws://localhost:12345'], corsProxy: '' });
  deepEqual(parseBackendUrl('wisps://wisp.example/v86/'), { scheme: 'wisp', sockets: ['wss://wisp.example/v86/'], corsProxy: '' });
  deepEqual(parseBackendUrl('fetch://localhost:1234/?url='), { scheme: 'fetch', sockets: [], corsProxy: 'http://localhost:1234/?url=' });
  deepEqual(parseBackendUrl('netloom://localhost'), { scheme: 'netloom', sockets: ['ws://localhost:8086/'], corsProxy: '' });
  deepEqual(parseBackendUrl('netloom://127.0.0.1:9000/lan/a'), { scheme: 'netloom', sockets: ['ws://127.0.0.1:9000/lan/a'], corsProxy: '' });
});
