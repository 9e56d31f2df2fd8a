/**
 * `npm run test:sanitized [-- --only PATTERN]`: all tests with the addon under ASAN and UBSAN, in whichever program of ours loads it. In a
 * mount namespace of its own the sanitized build stands in the other's place, and a script that loads the sanitizers first in that of the
 * pinned Node. What a sanitizer reports fails the run, whatever the tests say.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = join(import.meta.dirname, '..');
const folder = join(root, 'native/build/sanitized');
/** Where Node itself is in that mount namespace. */
const realNode = join(folder, 'node');
const hook = join(folder, 'hook.mjs');
const pinned = realpathSync(process.execPath);

execFileSync('make', ['-s', '-j2', '-C', join(root, 'native'), 'SANITIZED=1'], { stdio: 'inherit' });
const reports = mkdtempSync(join(tmpdir(), 'aquifer-sanitized-'));
// Workers have a user of their own, and may report.
chmodSync(reports, 0o1777);
mkdirSync(folder, { recursive: true });
writeFileSync(realNode, '');
// Other programs than Node do not get the sanitizers, and whoever starts Node again starts it as it was started.
writeFileSync(hook, `delete process.env.LD_PRELOAD;\nprocess.execPath = ${JSON.stringify(pinned)};\n`);
const options = `detect_leaks=0:detect_odr_violation=0:alloc_dealloc_mismatch=0:log_path=${join(reports, 'report')}`;
const wrapper = join(folder, 'node.sh');
writeFileSync(
  wrapper,
  `#!/bin/sh
export LD_PRELOAD='${runtime()}' ASAN_OPTIONS='${options}' UBSAN_OPTIONS='print_stacktrace=1:log_path=${join(reports, 'report')}'
exec '${realNode}' '--import=${pathToFileURL(hook)}' "$@"
`,
);
chmodSync(wrapper, 0o755);

const inside = `
mount --bind "$1" "$2"; mount --bind "$3" "$1"; mount --bind "$4" "$5"; shift 5
"$1" -e 'require("./native/build/aquifer.node")
const maps = require("fs").readFileSync("/proc/self/maps", "utf8")
if (!/libclang_rt.asan/.test(maps)) throw new Error("the addon is there without its sanitizers")'
exec "$@"`;
const { status, error } = spawnSync(
  'unshare',
  [
    ...['--mount', 'sh', '-ec', inside, 'sh', pinned, realNode, wrapper, join(folder, 'aquifer.node')],
    ...[join(root, 'native/build/aquifer.node'), join(root, 'scripts/pinned-node'), 'scripts/test.ts', 'all'],
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
);
if (error) throw error;
const written = readdirSync(reports);
for (const name of written) process.stdout.write(`\n== ${name}\n${readFileSync(join(reports, name), 'utf8')}`);
process.stdout.write(`sanitizer reports: ${written.length}\n`);
if (written.length === 0) rmSync(reports, { recursive: true });
process.exitCode = status !== 0 || written.length > 0 ? 1 : 0;

/** The shared library of ASAN, which has UBSAN in it. */
function runtime(): string {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  for (const version of [19, 16]) {
    const file = `/usr/lib/llvm-${version}/lib/clang/${version}/lib/linux/libclang_rt.asan-${machine}.so`;
    try {
      return realpathSync(file);
    } catch {
      // The other version may be there.
    }
  }
  throw new Error("clang's ASAN is not installed: apt-get install libclang-rt-19-dev");
}
