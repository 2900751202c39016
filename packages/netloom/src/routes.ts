import { ROUTE_BYTES } from './engine/abi.ts';
import { addressText, contains, netText, networkOf, parseNet, putAddress, type Net } from './engine/address.ts';
import type { Engine } from './engine/engine.ts';
import { NetworkError } from './errors.ts';
import type { Interfaces } from './interfaces/collection.ts';
import type { NetworkInterface } from './interfaces/kinds.ts';

/** A route to be added or removed. */
export type RouteOptions = {
  /** The network that it leads to; `0.0.0.0/0` and `::/0` are all others. */
  destination: string;
  /** The gateway's address, or the interface on which the network is reached directly. */
  via?: string | NetworkInterface;
  /** The interface, where `via` is an address. Default: the one on whose network the gateway is. */
  interface?: NetworkInterface;
};

/** A route that stands. */
export type Route = {
  destination: string;
  /** The interface. */
  via: NetworkInterface;
  /** The gateway's address; none for what is reached directly. */
  gateway: string | undefined;
  /** `connected` comes with an interface's address, `static` was added. */
  source: 'connected' | 'static';
};

type Numbers = { net: Net; gateway: string | undefined; via: NetworkInterface };

/** The routes of a stack: the longest prefix that fits wins (RFC 1812 5.2.4.3). */
export class Routes implements Iterable<Route> {
  readonly #engine: Engine;
  readonly #interfaces: Interfaces;

  /** @internal */
  constructor(engine: Engine, interfaces: Interfaces) {
    this.#engine = engine;
    this.#interfaces = interfaces;
  }

  /**
   * Adds a route.
   *
   * @throws NetworkError `EINVAL` if it is malformed, `ENETUNREACH` if the gateway is on no network of the stack
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * await stack.interfaces.createTap({ ip: '10.0.0.2/24' });
   * stack.routes.add({ destination: '0.0.0.0/0', via: '10.0.0.1' });
   * console.log(stack.routes.lookup('192.0.2.1')?.gateway); // 10.0.0.1
   * ```
   */
  add(options: RouteOptions): void {
    const { net, gateway, via } = this.#parse(options);
    if (!this.#engine.exports.add_route(via.id, net.family, net.prefix, this.#put(net, gateway))) {
      throw new NetworkError('ENETUNREACH', { message: `the gateway ${gateway} is not on the network of ${via.name}` });
    }
  }

  /** Removes a route that was added; false if there is none such. @throws NetworkError as `add` */
  remove(options: RouteOptions): boolean {
    const { net, gateway, via } = this.#parse(options);
    return this.#engine.exports.remove_route(via.id, net.family, net.prefix, this.#put(net, gateway)) > 0;
  }

  /** All routes, those of the interfaces' own networks first. */
  list(): Route[] {
    return this.#read().map(({ net, gateway, via }) => ({
      destination: netText(net),
      via,
      gateway,
      source: gateway === undefined && via.nets.some((own) => netText(networkOf(own)) === netText(net)) ? 'connected' : 'static',
    }));
  }

  /** The route that leads to an address; `null` if none does. @throws NetworkError `EINVAL` if it is no address */
  lookup(address: string): Route | null {
    const { address: bytes, family } = parseNet(address);
    const fits = this.list().filter((route) => contains(parseNet(route.destination), bytes, family));
    const length = (route: Route) => parseNet(route.destination).prefix;
    return fits.reduce<Route | null>((best, route) => (best && length(best) >= length(route) ? best : route), null);
  }

  /** Iterates over the routes as `list` gives them. */
  [Symbol.iterator](): IterableIterator<Route> {
    return this.list().values();
  }

  #parse({ destination, via, interface: on }: RouteOptions): Numbers {
    if (this.#engine.failure) throw this.#engine.failure;
    const net = networkOf(parseNet(destination));
    if (typeof via !== 'string') {
      const found = via ?? on;
      if (!found) throw new NetworkError('EINVAL', { message: 'a route needs a gateway or an interface' });
      return { net, gateway: undefined, via: found };
    }
    const gateway = parseNet(via);
    const found = on ?? [...this.#interfaces].find((one) => one.nets.some((own) => contains(own, gateway.address, gateway.family)));
    if (!found) throw new NetworkError('ENETUNREACH', { message: `the gateway ${via} is on no network of the stack` });
    return { net, gateway: via, via: found };
  }

  /** Lays a route into the arena; the family of its gateway. */
  #put(net: Net, gateway: string | undefined): number {
    const { bytes, arena } = this.#engine;
    bytes.set(net.address, arena);
    return gateway === undefined ? 0 : putAddress(gateway, bytes, arena + 16);
  }

  #read(): Numbers[] {
    const routes: Numbers[] = [];
    if (this.#engine.failure) return routes;
    let count;
    while ((count = this.#engine.exports.list_routes(routes.length)) > 0) {
      const { bytes, arena } = this.#engine;
      for (let place = 0; place < count; place += 1) {
        const at = arena + place * ROUTE_BYTES;
        const [family, prefix, gatewayFamily] = [bytes[at + 32]!, bytes[at + 33]!, bytes[at + 34]!];
        const number = bytes[at + 36]! | (bytes[at + 37]! << 8) | (bytes[at + 38]! << 16) | (bytes[at + 39]! << 24);
        const via = this.#interfaces.numbered(number);
        const net = networkOf({ address: bytes.slice(at, at + 16), family: family === 6 ? 6 : 4, prefix });
        if (via) routes.push({ net, via, gateway: gatewayFamily ? addressText(bytes, at + 16, gatewayFamily) : undefined });
      }
    }
    return routes;
  }
}
