// Ethernet frames as an ideal guest writes and reads them: IPv4, ARP, ICMP, UDP and TCP, by offsets.
// Apart from the package's own codec on purpose: what is tested here may not agree with itself alone.

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const BROADCAST = "ff:ff:ff:ff:ff:ff";

const ETHERNET = 14;
const IPV4 = 20;
const PROTOCOLS = { 1: "icmp", 6: "tcp", 17: "udp" };

export const mac = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
export const macBytes = (text) => text.split(":").map((part) => Number.parseInt(part, 16));
export const ip = (bytes) => bytes.join(".");
export const ipBytes = (text) => text.split(".").map(Number);

/** The sum of RFC 1071 over `frame[from..to]`, not yet complemented. */
function sum(view, from, to, start = 0) {
  let total = start;
  for (let at = from; at + 1 < to; at += 2) total += view.getUint16(at);
  if ((to - from) % 2) total += view.getUint8(to - 1) << 8;
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** The sum over a TCP or UDP segment with its pseudo-header. */
function segmentSum(view, protocol, from, to) {
  return sum(view, from, to, sum(view, ETHERNET + 12, ETHERNET + 20) + protocol + (to - from));
}

export function ethernet({ source, destination, type, payload }) {
  const frame = new Uint8Array(ETHERNET + payload.length);
  frame.set(macBytes(destination), 0);
  frame.set(macBytes(source), 6);
  frame.set([type >> 8, type & 0xff], 12);
  frame.set(payload, ETHERNET);
  return frame;
}

export function arp({ source, destination = BROADCAST, operation = 1, senderMac = source, senderIp, targetMac = "00:00:00:00:00:00", targetIp }) {
  const payload = [0, 1, 8, 0, 6, 4, 0, operation, ...macBytes(senderMac), ...ipBytes(senderIp), ...macBytes(targetMac), ...ipBytes(targetIp)];
  return ethernet({ source, destination, type: 0x0806, payload });
}

/** An IPv4 frame with room for `length` bytes behind the header; `fill` writes them before checksums are made. */
function ipv4({ source, destination, from, to, protocol }, length, fill) {
  const frame = new Uint8Array(ETHERNET + IPV4 + length);
  const view = new DataView(frame.buffer);
  frame.set(macBytes(destination), 0);
  frame.set(macBytes(source), 6);
  view.setUint16(12, 0x0800);
  view.setUint16(14, 0x4500);
  view.setUint16(16, IPV4 + length);
  view.setUint16(20, 0x4000);
  view.setUint8(22, 64);
  view.setUint8(23, protocol);
  frame.set(ipBytes(from), 26);
  frame.set(ipBytes(to), 30);
  view.setUint16(24, ~sum(view, ETHERNET, ETHERNET + IPV4) & 0xffff);
  fill(frame, view, ETHERNET + IPV4);
  return frame;
}

export function udp({ sourcePort, destinationPort, payload, ...packet }) {
  return ipv4({ ...packet, protocol: 17 }, 8 + payload.length, (frame, view, at) => {
    view.setUint16(at, sourcePort);
    view.setUint16(at + 2, destinationPort);
    view.setUint16(at + 4, 8 + payload.length);
    frame.set(payload, at + 8);
    view.setUint16(at + 6, ~segmentSum(view, 17, at, frame.length) & 0xffff || 0xffff);
  });
}

export function echo({ id = 1, sequence = 1, payload = new Uint8Array(32), ...packet }) {
  return ipv4({ ...packet, protocol: 1 }, 8 + payload.length, (frame, view, at) => {
    view.setUint8(at, 8);
    view.setUint16(at + 4, id);
    view.setUint16(at + 6, sequence);
    frame.set(payload, at + 8);
    view.setUint16(at + 2, ~sum(view, at, frame.length) & 0xffff);
  });
}

/** A segment; `mss` and `scale` are options of a SYN. */
export function tcp({ sourcePort, destinationPort, seq, ack = 0, flags, window = 65535, mss, scale, payload = new Uint8Array(), ...packet }) {
  const options = [...(mss ? [2, 4, mss >> 8, mss & 0xff] : []), ...(scale === undefined ? [] : [1, 3, 3, scale])];
  const header = 20 + options.length;
  return ipv4({ ...packet, protocol: 6 }, header + payload.length, (frame, view, at) => {
    view.setUint16(at, sourcePort);
    view.setUint16(at + 2, destinationPort);
    view.setUint32(at + 4, seq >>> 0);
    view.setUint32(at + 8, ack >>> 0);
    view.setUint8(at + 12, (header / 4) << 4);
    view.setUint8(at + 13, flags);
    view.setUint16(at + 14, window);
    frame.set(options, at + 20);
    frame.set(payload, at + header);
    view.setUint16(at + 16, ~segmentSum(view, 6, at, frame.length) & 0xffff);
  });
}

/** What a frame holds; throws where a checksum is wrong. Payloads are views of `frame`. */
export function parse(frame) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const parsed = { destination: mac(frame.subarray(0, 6)), source: mac(frame.subarray(6, 12)), type: view.getUint16(12), frame };
  if (parsed.type === 0x0806) {
    const at = ETHERNET;
    parsed.arp = {
      operation: view.getUint16(at + 6),
      senderMac: mac(frame.subarray(at + 8, at + 14)),
      senderIp: ip(frame.subarray(at + 14, at + 18)),
      targetMac: mac(frame.subarray(at + 18, at + 24)),
      targetIp: ip(frame.subarray(at + 24, at + 28)),
    };
  } else if (parsed.type === 0x0800) parseIpv4(parsed, frame, view);
  return parsed;
}

function parseIpv4(parsed, frame, view) {
  const at = ETHERNET + (view.getUint8(ETHERNET) & 15) * 4;
  const end = ETHERNET + view.getUint16(ETHERNET + 2);
  const name = PROTOCOLS[view.getUint8(ETHERNET + 9)];
  if (sum(view, ETHERNET, at) !== 0xffff) throw new Error("a frame with a wrong IPv4 checksum");
  parsed.ip = { from: ip(frame.subarray(26, 30)), to: ip(frame.subarray(30, 34)) };
  if (name === "tcp") parsed.tcp = parseTcp(frame, view, at, end);
  else if (name === "udp") {
    if (view.getUint16(at + 6) && segmentSum(view, 17, at, end) !== 0xffff) throw new Error("a datagram with a wrong checksum");
    parsed.udp = { sourcePort: view.getUint16(at), destinationPort: view.getUint16(at + 2), payload: frame.subarray(at + 8, end) };
  } else if (name === "icmp") {
    if (sum(view, at, end) !== 0xffff) throw new Error("an ICMP message with a wrong checksum");
    parsed.icmp = {
      type: view.getUint8(at),
      code: view.getUint8(at + 1),
      id: view.getUint16(at + 4),
      sequence: view.getUint16(at + 6),
      payload: frame.subarray(at + 8, end),
    };
  }
}

function parseTcp(frame, view, at, end) {
  if (segmentSum(view, 6, at, end) !== 0xffff) throw new Error("a segment with a wrong checksum");
  const header = (view.getUint8(at + 12) >> 4) * 4;
  const segment = {
    sourcePort: view.getUint16(at),
    destinationPort: view.getUint16(at + 2),
    seq: view.getUint32(at + 4),
    ack: view.getUint32(at + 8),
    flags: view.getUint8(at + 13),
    window: view.getUint16(at + 14),
    payload: frame.subarray(at + header, end),
  };
  for (let option = at + 20; option < at + header && frame[option] !== 0; option += frame[option] === 1 ? 1 : frame[option + 1] || header) {
    if (frame[option] === 2) segment.mss = view.getUint16(option + 2);
    if (frame[option] === 3) segment.scale = frame[option + 2];
  }
  return segment;
}
