// Guests of one LAN by name: web and alice in the first tab, `?guests=bob` in the second. The guest `web` serves the frame, of which the query's
// `frames` is the port: see serve.mjs.
import { attachNetwork } from 'netloom/v86';
import { startGuest } from '/shared/guest.js';

const query = new URLSearchParams(location.search);
const names = (query.get('guests') ?? 'web,alice').split(',');
query.set('guests', 'bob');
document.querySelector('#second').search = query;
/** A card for each, so that both kinds are here. */
const CARDS = { web: 'virtio', alice: 'ne2k', bob: 'virtio' };
/** All guests come from one saved state, and so with one address; this makes it their own. */
const macOf = (name) => `02:00:${[...name.padEnd(4)].slice(0, 4).map((letter) => letter.charCodeAt(0).toString(16).padStart(2, '0')).join(':')}`;

/** A guest's transcript, with a prompt. */
function terminal(name) {
  const section = document.createElement('section');
  section.id = name;
  section.innerHTML = `<h2>${name}</h2><pre></pre><input placeholder="a command for ${name}" disabled>`;
  document.querySelector('#guests').append(section);
  const transcript = section.querySelector('pre');
  const print = (text, kind = '') => {
    const line = document.createElement('span');
    line.className = kind;
    line.textContent = `${text}\n`;
    transcript.append(line);
    transcript.scrollTop = transcript.scrollHeight;
  };
  return { print, input: section.querySelector('input') };
}

async function start(name) {
  const { print, input } = terminal(name);
  let network;
  const guest = await startGuest(CARDS[name] ?? 'virtio', (emulator) => {
    network = attachNetwork(emulator, { relay_url: 'inbrowser', id: 42, gateway: true });
  });
  const run = async (command) => {
    print(`${name}$ ${command}`, 'prompt');
    const { output, status } = await guest.run(command);
    if (output) print(output);
    return status;
  };
  await guest.run(`ip link set eth0 down; ip link set eth0 address ${macOf(name)}; ip link set eth0 up; hostname ${name}`);
  await run(`udhcpc -i eth0 -n -q -f -x hostname:${name}`);
  input.disabled = false;
  input.addEventListener('change', () => {
    const command = input.value;
    input.value = '';
    void run(command);
  });
  return { name, network, run };
}

async function main() {
  const guests = await Promise.all(names.map(start));
  globalThis.guests = Object.fromEntries(guests.map((guest) => [guest.name, guest]));
  const { web } = globalThis.guests;
  if (web) await show(web);
}

/** Has the guest serve a page, and shows that. */
async function show({ network, run }) {
  const page = '<h1>Hello from the guest</h1><p>This page comes from busybox httpd, in Linux, in v86, in a browser tab.</p>';
  await run(`echo '${page}' >/www/index.html; httpd -p 80 -h /www`);
  const { url } = await network.serve(80).expose(`http://*.netloom.localhost:${query.get('frames')}/bridge.html`);
  const frame = document.querySelector('#frame iframe');
  const shown = new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }));
  frame.src = url;
  document.querySelector('#frame').hidden = false;
  await shown;
}

main().then(
  () => (document.body.dataset.state = 'ready'),
  (error) => {
    document.body.dataset.state = 'failed';
    throw error;
  },
);
