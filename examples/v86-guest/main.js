// Boots the guest, shows that the page and it reach each other, and then lets you type.
import { startGuest } from '/shared/guest.js';
import { createNetwork } from './network.js';

/** The guest's network card, `?nic=virtio` or `?nic=ne2k`. */
const nic = new URLSearchParams(location.search).get('nic') ?? 'virtio';
const transcript = document.querySelector('#transcript');
const prompt = document.querySelector('#prompt');

function print(text, kind = '') {
  const line = document.createElement('span');
  line.className = kind;
  line.textContent = `${text}\n`;
  transcript.append(line);
  line.scrollIntoView({ block: 'end' });
}

async function onGuest(guest, command) {
  print(`guest$ ${command}`, 'guest');
  const { output, status } = await guest.run(command);
  if (output) print(output);
  if (status !== 0) throw new Error(`it ended with ${status}`);
  return output;
}

async function onPage(what, action) {
  print(`page> ${what}`, 'page');
  const text = await action();
  print(text.trim());
}

async function demonstrate(network, guest) {
  await onGuest(guest, 'ip link set eth0 up; udhcpc -i eth0 -n -q -f');
  const [{ ip }] = network.leases.leases.values();
  await onGuest(guest, 'nslookup page.test');
  await onGuest(guest, 'ping -c 3 page.test');
  await onPage(`ping ${ip}`, async () => {
    const session = await network.stack.ping.createSession({ host: ip, timeout: 10_000 });
    const { roundTripTime } = await session.ping();
    await session.close();
    return `an answer from ${ip} after ${roundTripTime.toFixed(1)} ms`;
  });
  await onGuest(guest, 'wget -q -O - http://page.test/greeting');
  await onGuest(guest, "echo 'Hello from the guest.' >/www/index.html; httpd -p 80 -h /www");
  await onPage(`fetch('http://${ip}/')`, async () => (await network.fetch(`http://${ip}/`)).text());
}

async function main() {
  const network = await createNetwork(nic, (request) => new Response(`Hello from the page; you asked for ${new URL(request.url).pathname}.\n`));
  print(`Loading Linux with a ${nic} card…`);
  const guest = await startGuest(nic, network.plug);
  await demonstrate(network, guest);

  prompt.hidden = false;
  prompt.addEventListener('submit', (event) => {
    event.preventDefault();
    const { command } = prompt.elements;
    const text = command.value;
    command.value = '';
    onGuest(guest, text).catch((error) => print(error.message));
  });
  document.body.dataset.state = 'ready';
}

main().catch((error) => {
  print(`It failed: ${error.stack ?? error}`);
  document.body.dataset.state = 'failed';
});
