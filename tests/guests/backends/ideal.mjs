// A guest without an emulator's processor: it writes and reads the frames of a card itself, and does exactly what a test says.
// Owns no timer but the limit after which something counts as never coming.
import { ACK, arp, BROADCAST, echo, FIN, parse, PSH, RST, SYN, tcp, udp } from "./frames.mjs";
import { LIMIT_MS } from "./limit.mjs";

const text = new TextDecoder();
const bytes = (data) => (typeof data === "string" ? new TextEncoder().encode(data) : data);

export class IdealGuest {
  /** Every frame that came, parsed, oldest first. */
  frames = [];
  #bus;
  #waits = new Set();
  #connections = new Map();
  #port = 40_000;

  /** Takes the place of the card of `emulator`, which has none. */
  constructor(emulator, { mac = "02:00:00:00:00:01", ip = "192.168.86.100", router = "52:54:00:01:02:03", nic = 0, announce = true } = {}) {
    Object.assign(this, { mac, ip, router, nic });
    this.#bus = emulator.emulator_bus;
    // A guest answers in its own turn, never inside the one that gave it the frame.
    this.#bus.register(`net${nic}-receive`, (frame) => {
      const copy = new Uint8Array(frame);
      queueMicrotask(() => this.#receive(parse(copy)));
    }, this);
    if (announce) this.#bus.send(`net${nic}-mac`, mac);
  }

  /** Sends a frame as a card does, synchronously. */
  send(frame) {
    this.#bus.send(`net${this.nic}-send`, frame);
  }

  #receive(frame) {
    this.frames.push(frame);
    if (frame.arp?.operation === 1 && frame.arp.targetIp === this.ip && frame.source !== this.mac) {
      const { senderMac, senderIp } = frame.arp;
      this.send(arp({ source: this.mac, destination: senderMac, operation: 2, senderIp: this.ip, targetMac: senderMac, targetIp: senderIp }));
    }
    if (frame.tcp) this.#connections.get(`${frame.ip.from}:${frame.tcp.sourcePort}:${frame.tcp.destinationPort}`)?.receive(frame.tcp);
    for (const wait of this.#waits) wait();
  }

  /** Resolves with what `condition` gives once that is neither false nor undefined; it is asked now, and after every frame. `what` is named if it never does. */
  until(condition, what) {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        this.#waits.delete(check);
        reject(new Error(`never came: ${typeof what === "function" ? what() : what}`));
      }, LIMIT_MS);
      const check = () => {
        const value = condition();
        if (value === undefined || value === false) return;
        clearTimeout(limit);
        this.#waits.delete(check);
        resolve(value);
      };
      this.#waits.add(check);
      check();
    });
  }

  /** The next frame from now on that `matches`. */
  next(matches, what) {
    const from = this.frames.length;
    return this.until(() => this.frames.slice(from).find(matches), what);
  }

  /** Sends `frame`, and resolves with the next one that `matches`. */
  ask(frame, matches, what) {
    const answer = this.next(matches, what);
    answer.catch(() => {});
    this.send(frame);
    return answer;
  }

  packet(to, destination = this.router) {
    return { source: this.mac, destination, from: this.ip, to };
  }

  arp(targetIp, options) {
    const frame = arp({ source: this.mac, senderIp: this.ip, targetIp, ...options });
    return this.ask(frame, ({ arp }) => arp?.operation === 2 && arp.senderIp === targetIp, `an ARP reply for ${targetIp}`);
  }

  ping(to = "192.168.86.1", options = {}) {
    const id = (this.#port += 1);
    return this.ask(echo({ ...this.packet(to), id, ...options }), ({ icmp }) => icmp?.type === 0 && icmp.id === id, `an echo reply from ${to}`);
  }

  /** Sends a datagram; resolves with the next one back to its port. */
  udp(to, destinationPort, payload, { sourcePort = (this.#port += 1), ...options } = {}) {
    const frame = udp({ ...this.packet(to), sourcePort, destinationPort, payload: bytes(payload), ...options });
    return this.ask(frame, ({ udp }) => udp?.destinationPort === sourcePort, `a datagram from ${to}:${destinationPort}`);
  }

  /** A DHCP message; resolves with the next answer to it. `type` and `options` as in RFC 2132, `flags` 0x8000 asks for a broadcast. */
  dhcp(type, { options = [], flags = 0, ciaddr = "0.0.0.0", to = "255.255.255.255", from = "0.0.0.0", xid = 0x1234 } = {}) {
    const message = new Uint8Array(300);
    const view = new DataView(message.buffer);
    message.set([1, 1, 6, 0]);
    view.setUint32(4, xid);
    view.setUint16(10, flags);
    message.set(ciaddr.split("."), 12);
    message.set(this.mac.split(":").map((part) => Number.parseInt(part, 16)), 28);
    view.setUint32(236, 0x63825363);
    message.set([53, 1, type, ...options.flatMap(([code, ...data]) => [code, data.length, ...data]), 255], 240);
    const frame = udp({ source: this.mac, destination: BROADCAST, from, to, sourcePort: 68, destinationPort: 67, payload: message });
    return this.ask(frame, ({ udp }) => udp?.destinationPort === 68, `an answer to DHCP message ${type}`).then(lease);
  }

  /** Asks a name's record of `type`; resolves with the answer's response code, its addresses, and whence it came. */
  async dns(name, { server = "192.168.86.1", type = 1 } = {}) {
    const labels = name.split(".").flatMap((label) => [label.length, ...bytes(label)]);
    const query = Uint8Array.of(0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, type >> 8, type & 0xff, 0, 1);
    const { ip, udp } = await this.udp(server, 53, query);
    const view = new DataView(udp.payload.buffer, udp.payload.byteOffset, udp.payload.byteLength);
    return { from: ip.from, code: view.getUint16(2) & 15, answers: view.getUint16(6), message: udp.payload };
  }

  /** A connection to come: its SYN is not sent yet. */
  dial(to, destinationPort, options = {}) {
    const connection = new Connection(this, { to, remotePort: destinationPort, localPort: (this.#port += 1), ...options });
    return this.#known(connection);
  }

  /** Connects; resolves once the answer to the SYN has been acknowledged. */
  async connect(to, destinationPort, options) {
    const connection = this.dial(to, destinationPort, options);
    connection.sendSyn();
    await this.until(() => connection.open || connection.reset, `an answer to a SYN to ${to}:${destinationPort}`);
    if (connection.reset) throw new Error(`${to}:${destinationPort} is refused`);
    return connection;
  }

  /** Waits for a SYN to `port` and answers it. */
  async accept(port, options = {}) {
    const syn = await this.until(
      () => this.frames.find(({ tcp }) => tcp?.destinationPort === port && tcp.flags === SYN && !tcp.taken),
      `a SYN to the guest's port ${port}`,
    );
    syn.tcp.taken = true;
    const connection = new Connection(this, { to: syn.ip.from, remotePort: syn.tcp.sourcePort, localPort: port, ...options });
    this.#known(connection);
    connection.answerSyn(syn.tcp);
    return connection;
  }

  #known(connection) {
    this.#connections.set(`${connection.to}:${connection.remotePort}:${connection.localPort}`, connection);
    return connection;
  }
}

function lease({ ip, udp, destination }) {
  const { payload } = udp;
  const options = new Map();
  for (let at = 240; at < payload.length && payload[at] !== 255; at += payload[at] === 0 ? 1 : 2 + payload[at + 1]) {
    if (payload[at] !== 0) options.set(payload[at], payload.slice(at + 2, at + 2 + payload[at + 1]));
  }
  return { type: options.get(53)?.[0], address: payload.slice(16, 20).join("."), options, to: ip.to, destination, length: payload.length };
}

/** The guest's end of one TCP connection. Acknowledges what comes in order, unless told otherwise. */
export class Connection {
  window = 65535;
  mss = 1460;
  seq = 1000;
  /** Whether what comes is acknowledged by itself. */
  acknowledges = true;
  /** Asked of each segment with data or FIN: false loses it, as a card whose ring is full does. */
  takes = () => true;
  open = false;
  finished = false;
  reset = false;
  /** Segments that came, with what was dropped. */
  segments = [];
  length = 0;
  #chunks = [];

  constructor(guest, options) {
    this.guest = guest;
    Object.assign(this, options);
    this.first = this.seq;
  }

  #send(flags, { seq = this.seq, payload, ...rest } = {}) {
    const { localPort: sourcePort, remotePort: destinationPort, window, next: ack } = this;
    this.guest.send(tcp({ ...this.guest.packet(this.to), sourcePort, destinationPort, seq, ack, flags, window, payload, ...rest }));
  }

  sendSyn() {
    const { mss, scale } = this;
    this.#send(SYN, { ack: 0, mss, scale });
    this.seq = (this.seq + 1) >>> 0;
  }

  answerSyn(syn) {
    this.next = (syn.seq + 1) >>> 0;
    this.peer = syn;
    const { mss, scale } = this;
    const seq = this.seq;
    this.seq = (this.seq + 1) >>> 0;
    this.#send(SYN | ACK, { seq, mss, scale });
  }

  receive(segment) {
    this.segments.push(segment);
    if (segment.flags & RST) this.reset = true;
    if (segment.flags & SYN) {
      if (!this.open) this.peer = segment;
      this.next = (segment.seq + 1) >>> 0;
      this.open = true;
      if (this.acknowledges) this.acknowledge();
      return;
    }
    if (!this.open && segment.flags & ACK) this.open = true;
    const takes = segment.payload.length > 0 || segment.flags & FIN;
    if (!takes || !this.takes(segment)) return;
    const skip = (this.next - segment.seq) >>> 0;
    if (skip <= segment.payload.length) {
      const fresh = segment.payload.slice(skip);
      if (fresh.length > 0) this.#chunks.push(fresh);
      this.length += fresh.length;
      this.next = (this.next + fresh.length) >>> 0;
      if (segment.flags & FIN && !this.finished) {
        this.finished = true;
        this.next = (this.next + 1) >>> 0;
      }
    }
    if (this.acknowledges) this.acknowledge();
  }

  /** Tells what has come, and the window. */
  acknowledge(options) {
    this.#send(ACK, options);
  }

  /** Sends data, with FIN if told; never again by itself. */
  write(data, { fin = false, seq, advance = true } = {}) {
    const payload = bytes(data);
    const flags = ACK | (payload.length > 0 ? PSH : 0) | (fin ? FIN : 0);
    const at = seq ?? this.seq;
    if (advance) this.seq = (this.seq + payload.length + (fin ? 1 : 0)) >>> 0;
    this.#send(flags, { seq: at, payload });
  }

  end() {
    this.write("", { fin: true });
  }

  abort() {
    this.#send(RST | ACK);
  }

  /** All that came, in order. */
  bytes() {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  text() {
    return text.decode(this.bytes());
  }

  /** Bytes of the stream that the peer has sent, whether taken or not. */
  get sent() {
    const from = (this.peer.seq + 1) >>> 0;
    return this.segments.reduce((most, { seq, flags, payload }) => (flags & SYN ? most : Math.max(most, ((seq - from) >>> 0) + payload.length)), 0);
  }

  until(condition, what) {
    return this.guest.until(condition, what);
  }

  /** Resolves with all text once `pattern` is in it. */
  untilText(pattern) {
    return this.until(() => (pattern.test(this.text()) ? this.text() : undefined), () => `${pattern} in ${JSON.stringify(this.text().slice(-300))}`);
  }

  untilFinished() {
    return this.until(() => this.finished || this.reset, "the end of the connection");
  }
}
