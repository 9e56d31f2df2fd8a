/** `scripts/pinned-node scripts/leave-nothing.ts COMMAND [ARGUMENT...]`: runs a command; fails with it, or when it leaves something behind. */
import { spawnSync } from 'node:child_process';
import { leftovers, settledLeftovers } from '../test/harness/leftovers.ts';

const [command, ...args] = process.argv.slice(2);
if (command === undefined) {
  process.stderr.write('usage: leave-nothing.ts COMMAND [ARGUMENT...]\n');
  process.exit(2);
}
process.env['NODE_TEST_RUN'] = String(process.pid);
const before = leftovers();
const { status, signal, error } = spawnSync(command, args, { stdio: 'inherit' });
const left = await settledLeftovers(before);
if (error !== undefined) process.stderr.write(`aquifer: ${command} cannot be started: ${error.message}\n`);
else if (status !== 0) process.stderr.write(`aquifer: ${command} ${args.join(' ')} ended with ${status ?? signal}\n`);
if (left.length > 0) process.stderr.write(`aquifer: left behind:\n${left.map((thing) => `  ${thing}\n`).join('')}`);
process.exitCode = left.length > 0 ? 1 : (status ?? 1);
