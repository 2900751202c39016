import type { Datagram, DatagramSocket } from './types.ts';

/** Sends by a socket for as long as it is open: a datagram without a way does not end it, as an error of its stream would. */
export function sender(socket: DatagramSocket): (datagram: Datagram) => Promise<void> {
  // Transports written for tcpip.js have streams alone.
  if (typeof socket.send === 'function') return (datagram) => socket.send(datagram);
  const writer = socket.writable.getWriter();
  writer.closed.catch(() => {});
  return (datagram) => writer.write(datagram);
}
