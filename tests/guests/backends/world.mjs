// What is outside for the guests of the matrix: servers on this host, and the schemes by which guests reach them.
import { startRelay } from "../relay.mjs";
import { blackHole, closedPort, dnsServer, hashAfterEnd, hostAddress, noise, webServer } from "../servers.mjs";
import { corsProxy, dohServer, wispJs, wispPython } from "./peers.mjs";

const MIB = 1 << 20;
/** The relay's name for this host's loopback. */
const RELAY_HOST = "192.168.86.254";
/** Where wisp-python is, if it is to be met. */
const PYTHON = process.env.NETLOOM_WISP_PYTHON;
const NAMES = { "answer.test": [{ type: "A", data: [198, 51, 100, 7] }] };

/** Starts all of it; `length` is that of the body which its web server serves. */
export async function startWorld(length = (process.env.NETLOOM_FULL ? 16 : 1) * MIB) {
  const body = noise(length);
  const [dns, doh, web, hash, hole, wisp, cors] = await Promise.all([
    dnsServer(NAMES),
    dohServer(NAMES),
    webServer(body),
    hashAfterEnd("0.0.0.0"),
    blackHole("0.0.0.0"),
    wispJs(),
    corsProxy(),
  ]);
  const relay = await startRelay("--host-loopback", "--origin", "*", "--dns", dns.address);
  const python = PYTHON && (await wispPython(PYTHON));
  const refused = await closedPort();
  const parts = [relay, dns, doh, web, hash, hole, wisp, cors, ...(python ? [python] : [])];
  return { body, doh, web, hash, hole, wisp, python, cors, relay, refused, stop: () => Promise.all(parts.map((part) => part.stop())) };
}

const direct = (address, world) => ({
  download: `wget -q -O /tmp/body http://${address}:${world.web.port}/`,
  upload: `nc ${address} ${world.web.port}`,
  host: `${address}:${world.web.port}`,
  address,
});

const byWisp = ({ url }, world) => ({
  target: { relay_url: url, dns_method: "doh", doh_server: world.doh.url },
  names: true,
  gateway: true,
  ...direct(hostAddress(), world),
});

/** HTTP through the gateway's port 80, to the web server that the request's Host names. */
const byHttp = (host, at = "192.168.87.1") => ({ download: `wget -q -O /tmp/body --header 'Host: ${host}' http://${at}/`, upload: `nc ${at} 80`, host });

/**
 * The schemes. `target` is what the page attaches; `names` whether `answer.test` has its address there; `download` and `upload` are the guest's
 * commands, and `address` that of this host, where any port of it may be dialled; `absent` is a web server that is not there,
 * and `refusal` what a guest is told of a refused port, if not that: wisp-python calls all that fails unreachable.
 */
export const SCHEMES = {
  wsproxy: (world) => ({ target: { relay_url: world.relay.url }, names: true, ...direct(RELAY_HOST, world) }),
  netloom: (world) => ({ target: { relay_url: `netloom://${new URL(world.relay.url).host}` }, names: true, ...direct(RELAY_HOST, world) }),
  wisp: (world) => byWisp(world.wisp, world),
  ...(PYTHON ? { "wisp of wisp-python": (world) => ({ ...byWisp(world.python, world), refusal: /No route to host/ }) } : {}),
  fetch: (world) => ({
    target: { relay_url: "fetch", dns_method: "static" },
    gateway: true,
    ...byHttp(`${world.web.port}.external`),
    absent: `${world.refused}.external`,
  }),
  "fetch through cors-anywhere": (world) => ({
    target: { relay_url: `fetch://${world.cors.host}/`, dns_method: "doh", doh_server: world.doh.url },
    names: true,
    gateway: true,
    ...byHttp(`127.0.0.1:${world.web.port}`),
    absent: `127.0.0.1:${world.refused}`,
  }),
  chain: (world) => ({
    // Nothing listens on the first.
    target: [`ws://127.0.0.1:${world.refused}/`, { relay_url: world.wisp.url, dns_method: "doh", doh_server: world.doh.url }, "fetch"],
    active: world.wisp.url,
    names: true,
    gateway: true,
    ...direct(hostAddress(), world),
  }),
};
