// Runs the tests over the built dist: node scripts/test.mjs [RUNTIME] [ONLY].
import { spawnSync } from 'node:child_process';
import { bundleTests, root } from './tests/bundle.mjs';

await bundleTests();
const { status } = spawnSync(process.execPath, ['--enable-source-maps', 'scripts/tests/terminal.mjs', process.argv[3] ?? ''], { cwd: root, stdio: 'inherit' });
process.exit(status ?? 1);
