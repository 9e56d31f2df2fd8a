/**
 * Compares the tables of our command line with a real istioctl's, on one mesh with a waypoint:
 *
 *   KUBECONFIG=/run/aquifer/demo/kubeconfig scripts/pinned-node test/peers/cli-columns.ts WAYPOINT.NAMESPACE [PATH_OF_ISTIOCTL]
 *
 * WAYPOINT is a pod or deploy/NAME. ztunnel-config is given a dump of ours as a file, for istioctl looks for a DaemonSet first.
 * Prints a line a command; exits with 1 where a column differs, or a row.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeError } from '../../common/core/errors.ts';

const [waypoint, istioctl = 'istioctl'] = process.argv.slice(2);
if (waypoint === undefined) throw new Error('WAYPOINT.NAMESPACE is missing');
const aquifer = join(import.meta.dirname, '../../bin/aquifer');
const folder = mkdtempSync(join(tmpdir(), 'aquifer-columns-'));
const dump = join(folder, 'ztunnel.json');

/** Lines without what differs between tables: blanks at the ends, and how many part columns. */
function linesOf(program: string, words: readonly string[]): readonly string[] {
  const output = execFileSync(program, words, { encoding: 'utf8' });
  return output
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '))
    .filter((line) => line !== '');
}

const commands: readonly (readonly string[])[] = [
  ...['cluster', 'listener', 'route', 'endpoint', 'secret'].map((what) => ['proxy-config', what, waypoint]),
  ['proxy-config', 'listener', waypoint, '--waypoint'],
  ['tag', 'list'],
  ...['workload', 'service', 'policy', 'certificate', 'connections'].map((what) => [
    'ztunnel-config',
    what,
    '--file',
    dump,
  ]),
];

let failed = false;
try {
  writeFileSync(dump, execFileSync(aquifer, ['ztunnel-config', 'all', '-o', 'json'], { encoding: 'utf8' }));
  for (const words of commands) {
    const title = words.join(' ');
    try {
      const [theirs, ours] = [linesOf(istioctl, words), linesOf(aquifer, words)];
      const missing = theirs.filter((line) => !ours.includes(line));
      const surplus = ours.filter((line) => !theirs.includes(line));
      if (missing.length + surplus.length > 0)
        throw new Error(
          [...missing.map((l) => `\n  istioctl: ${l}`), ...surplus.map((l) => `\n  ours:     ${l}`)].join(''),
        );
      console.log(`ok    ${title}: ${ours.length} lines`);
    } catch (e) {
      failed = true;
      console.log(`fails ${title}: ${describeError(e)}`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.exit(failed ? 1 : 0);
