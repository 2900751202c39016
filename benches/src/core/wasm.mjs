// `wasm.mjs MODULE TURNS TURN_MS CASES`: rates of the pairs of a module. Each stack has an instance of its own; they take turns.
// Prints one JSON object per case, rates per second of processor time.

import { readFileSync } from 'node:fs'

const [path, turns, turnMs, cases] = process.argv.slice(2)
const module = new WebAssembly.Module(readFileSync(path))
if (WebAssembly.Module.imports(module).length > 0) throw new Error('the module has imports')

const OURS = 0
const PEER = 1
const COPY = 2

function open(stack, setup) {
  const { exports } = new WebAssembly.Instance(module)
  if (!exports.open(stack, ...setup)) throw new Error(`stack ${stack} did not open its flows`)
  return { exports, rates: [] }
}

// Processor time of all threads, in seconds.
const used = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function rate(exports, connects, rounds) {
  const begin = used()
  let count = 0
  for (;;) {
    const more = connects ? exports.connects() : exports.rounds(rounds) * 8 / 1e9
    if (connects && !more) throw new Error('a connection did not open or end')
    count += more
    const spent = used() - begin
    if (spent * 1000 >= Number(turnMs)) return count / spent
  }
}

function median(figures) {
  const sorted = figures.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

for (const { setup, connects } of JSON.parse(cases)) {
  const stacks = (connects ? [OURS, PEER] : [OURS, PEER, COPY]).map(stack => open(stack, setup))
  const rounds = setup[4] > 16 ? 4 : 128
  // The first turn is the compiler's.
  for (let turn = 0; turn <= Number(turns); turn++) {
    for (const { exports, rates } of stacks) {
      const result = rate(exports, connects, rounds)
      if (turn > 0) rates.push(result)
    }
  }
  const [ours, peer, copy] = stacks.map(({ rates }) => median(rates))
  console.log(JSON.stringify({ ours, peer, copy }))
}
