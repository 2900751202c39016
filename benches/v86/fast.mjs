// The least that a guest must do for bulk TCP: it acknowledges what came at the end of each turn, and sends what the window allows.
// It loses nothing, verifies nothing and copies each frame once, as a card does.
import { ACK, FIN, PSH, RST, SYN, tcp } from '../../tests/guests/backends/frames.mjs';

const MAC = '02:00:00:00:00:01';
const ROUTER = '52:54:00:01:02:03';
const IP = '192.168.86.100';
const SCALE = 7;
const WINDOW = 0xffff;
const HEADERS = 54;
const RING_FRAMES = 16;

export class FastGuest {
  #bus;
  #ring = new Uint8Array(1 << 17);
  #ports = new Map();
  #port = 20_000;

  constructor(emulator, mtu) {
    this.mss = mtu - 40;
    this.#bus = emulator.emulator_bus;
    this.#bus.register('net0-receive', (frame) => this.#receive(frame), this);
    this.#bus.send('net0-mac', MAC);
  }

  send(frame) {
    this.#bus.send('net0-send', frame);
  }

  #receive(frame) {
    this.#ring.set(frame, 0);
    // TCP over IPv4 without options; the rest is not for this guest.
    if (frame[12] !== 8 || frame[13] !== 0 || frame[23] !== 6) return;
    this.#ports.get((frame[36] << 8) | frame[37])?.segment(frame);
  }

  /** A connection: `segment` is called with each frame of it, in the turn in which that came. */
  open(to, remotePort) {
    const connection = new FastConnection(this, to, remotePort, (this.#port += 1));
    this.#ports.set(connection.localPort, connection);
    return connection;
  }

  close(connection) {
    this.#ports.delete(connection.localPort);
  }
}

class FastConnection {
  seq = 1000;
  next = 0;
  received = 0;
  acknowledged = 0;
  window = 0;
  scale = 0;
  finished = false;
  #told = false;
  wake = () => {};

  constructor(guest, to, remotePort, localPort) {
    Object.assign(this, { guest, to, remotePort, localPort });
    this.packet = { source: MAC, destination: ROUTER, from: IP, to, sourcePort: localPort, destinationPort: remotePort };
  }

  flags(flags, more) {
    this.guest.send(tcp({ ...this.packet, seq: this.seq, ack: this.next, flags, window: WINDOW, ...more }));
  }

  connect() {
    const opened = new Promise((resolve) => (this.wake = resolve));
    this.flags(SYN, { ack: 0, mss: this.guest.mss, scale: SCALE });
    this.seq += 1;
    return opened;
  }

  segment(frame) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const flags = frame[47];
    const header = (frame[46] >> 4) * 4;
    const length = view.getUint16(16) - 20 - header;
    if (flags & RST) return this.#end();
    const at = view.getUint32(38);
    if (flags & SYN) {
      this.next = (at + 1) >>> 0;
      this.scale = scaleOf(frame, header);
      this.window = view.getUint16(48);
      this.acknowledged = view.getUint32(42);
      return this.#tell();
    }
    if (flags & ACK) {
      this.acknowledged = view.getUint32(42);
      this.window = view.getUint16(48) << this.scale;
    }
    if (at === this.next) {
      this.received += length;
      this.next = (at + length + (flags & FIN ? 1 : 0)) >>> 0;
      if (flags & FIN) this.finished = true;
    }
    if (length > 0 || flags & FIN) this.#tell();
    else this.wake();
  }

  /** One acknowledgment for all that comes in one turn. */
  #tell() {
    if (this.#told) return;
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      this.flags(ACK);
      this.wake();
    });
  }

  #end() {
    this.finished = true;
    this.wake();
  }
}

function scaleOf(frame, header) {
  for (let at = HEADERS; at < 34 + header && frame[at] !== 0; at += frame[at] === 1 ? 1 : frame[at + 1]) if (frame[at] === 3) return frame[at + 2];
  return 0;
}

/** Downloads what `request` asks for, to the end of the connection. */
export async function download(guest, to, port, request, bytes) {
  const connection = guest.open(to, port);
  await connection.connect();
  const ended = new Promise((resolve) => (connection.wake = () => connection.finished && resolve()));
  const payload = new TextEncoder().encode(request);
  connection.flags(ACK | PSH, { payload });
  connection.seq += payload.length;
  await ended;
  connection.flags(FIN | ACK);
  guest.close(connection);
  if (connection.received < bytes) throw new Error(`only ${connection.received} of ${bytes} bytes came`);
}

/** Uploads so many bytes; resolves once they are acknowledged. */
export async function upload(guest, to, port, bytes) {
  const connection = guest.open(to, port);
  await connection.connect();
  const template = segmentTemplate(connection, guest.mss);
  let left = bytes;
  await new Promise((resolve, reject) => {
    let pushing = false;
    const push = () => {
      if (connection.finished) return reject(new Error('the connection was reset'));
      if (pushing) return;
      pushing = true;
      while (left > 0) {
        const length = Math.min(left, guest.mss);
        const flying = (connection.seq - connection.acknowledged) >>> 0;
        if (flying + length > connection.window) break;
        guest.send(length === guest.mss ? template() : tcp({ ...connection.packet, seq: connection.seq, ack: connection.next, flags: ACK | PSH, payload: new Uint8Array(length) }));
        connection.seq = (connection.seq + length) >>> 0;
        left -= length;
      }
      pushing = false;
      if (left === 0 && connection.seq === connection.acknowledged) resolve();
    };
    connection.wake = () => queueMicrotask(push);
    push();
  });
  connection.flags(FIN | ACK);
  guest.close(connection);
}

/** Makes full segments of zeros in a ring of frames, as a card's; a checksum is that of the first, corrected (RFC 1624). */
function segmentTemplate(connection, mss) {
  const first = tcp({ ...connection.packet, seq: 0, ack: connection.next, flags: ACK, window: WINDOW, payload: new Uint8Array(mss) });
  const ring = Array.from({ length: RING_FRAMES }, () => first.slice());
  let turn = 0;
  const sum = ~((first[50] << 8) | first[51]) & 0xffff;
  return () => {
    const frame = ring[(turn = (turn + 1) % RING_FRAMES)];
    const { seq } = connection;
    let total = sum + (seq >>> 16) + (seq & 0xffff);
    while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
    const checksum = ~total & 0xffff;
    frame[38] = seq >>> 24;
    frame[39] = seq >>> 16;
    frame[40] = seq >>> 8;
    frame[41] = seq;
    frame[50] = checksum >> 8;
    frame[51] = checksum;
    return frame;
  };
}
