/**
 * v86's own backends and ours, side by side: node run.mjs [guest] [ideal] [--quick] [--runs N] [--json] [--only TEXT]
 *
 * `guest` is a Linux guest that downloads from and uploads to servers of this host, the same for both; `ideal` is a guest of JavaScript alone, so that
 * what is measured is the network. Every run is a process of its own, and the sides take turns; a figure is the median.
 */
import { cpus } from 'node:os';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { child, serversProcess } from './processes.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    runs: { type: 'string' },
    only: { type: 'string', default: '' },
  },
});
const runs = Number(values.runs ?? (values.quick ? 1 : 3));
const parts = positionals.length > 0 ? positionals : ['ideal', 'guest'];

/** What one process measures: `aim` is for its rates, ours to v86's. */
const GUESTS = ['wsproxy', 'wisp', 'fetch'].flatMap((scheme) => [
  { part: 'guest', scheme, nic: 'virtio', mtu: 1500, aim: 2 },
  { part: 'guest', scheme, nic: 'ne2k', mtu: 1500, aim: 2 },
  { part: 'guest', scheme, nic: 'virtio', mtu: 65535, aim: 1 },
]);
const IDEALS = [1500, 9000, 65535].map((mtu) => ({ part: 'ideal', scheme: 'fetch', nic: 'no card', mtu, aim: mtu === 1500 ? 5 : 1 }));
const nameOf = ({ scheme, nic, mtu }) => `${scheme}, ${nic}, MTU ${mtu}`;
/** Figures where fewer is better. */
const FEWER = new Set(['ms', 'CPU s/GB']);

const servers = await serversProcess();
try {
  if (!values.json) header();
  for (const measured of [...IDEALS, ...GUESTS]) {
    if (!parts.includes(measured.part) || !nameOf(measured).includes(values.only)) continue;
    const sides = { ours: [], own: [] };
    for (let run = 0; run < runs; run += 1) {
      for (const side of ['own', 'ours']) sides[side].push(await child(measured, side, { servers: servers.ports, quick: values.quick }));
    }
    report(measured, sides);
  }
} finally {
  servers.stop();
}

function header() {
  console.log(`Node ${process.versions.node}, ${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores; medians of ${runs}\n`);
  console.log(row('case', 'ours', "v86's own", 'unit', 'ratio', 'aim'));
}

function report(measured, sides) {
  const failed = ['ours', 'own'].map((side) => sides[side].find(({ error }) => error)?.error);
  const figures = new Set(Object.values(sides).flatMap((all) => all.flatMap((one) => Object.keys(one.figures ?? {}))));
  if (figures.size === 0) console.log(`${nameOf(measured)}: ours ${failed[0] ?? 'ran'}; v86's own ${failed[1] ?? 'ran'}`);
  for (const figure of figures) {
    const of = (side) => median(sides[side].map((one) => one.figures?.[figure]?.value));
    const [ours, own] = [of('ours'), of('own')];
    const unit = Object.values(sides).flat().map((one) => one.figures?.[figure]?.unit).find(Boolean);
    const ratio = ours && own ? (FEWER.has(unit) ? own / ours : ours / own) : undefined;
    const aim = unit === 'MB/s' ? measured.aim : undefined;
    if (values.json) console.log(JSON.stringify({ case: nameOf(measured), figure, ours, own, unit, ratio, aim }));
    else console.log(row(`${nameOf(measured)}: ${figure}`, text(ours), text(own), unit, ratio?.toFixed(2) ?? '', aim ?? ''));
  }
}

function row(what, ours, own, unit, ratio, aim) {
  return `${what.padEnd(52)}${ours.padStart(10)}${own.padStart(11)} ${unit.padEnd(10)}${`${ratio}`.padStart(7)}${`${aim}`.padStart(5)}`;
}

/** `undefined` where a run of it did not end. */
function median(figures) {
  if (figures.length === 0 || figures.some((figure) => figure === undefined)) return undefined;
  return figures.sort((one, two) => one - two)[figures.length >> 1];
}

function text(figure) {
  return figure === undefined ? 'hangs' : figure < 10 ? figure.toFixed(2) : figure < 1000 ? figure.toFixed(1) : Math.round(figure).toLocaleString('en-US');
}
