/** The process of a lab. Its one argument is the lab's name; `up` gives it a channel to say how the start went. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeError } from '../../common/core/errors.ts';
import { createLogger, stdoutSink } from '../../common/core/log.ts';
import { cgroupName } from '../names.ts';
import { cgroupRoot, makeCgroup } from '../system/cgroup.ts';
import { readLabConfig } from './lab-config.ts';
import { startLab } from './lab-daemon.ts';

const name = process.argv[2] ?? '';
const log = createLogger(stdoutSink(), 'lab');

export type DaemonMessage = { readonly kind: 'up' } | { readonly kind: 'failed'; readonly message: string };

async function main(): Promise<DaemonMessage> {
  try {
    // Whoever cleans up finds this process by its cgroup.
    const own = makeCgroup(join(cgroupRoot(), cgroupName(name), 'daemon'));
    writeFileSync(join(own, 'cgroup.procs'), String(process.pid));
    const config = await readLabConfig(name);
    if (config === undefined) return { kind: 'failed', message: `no lab is called ${name}` };
    await startLab(config, log, new AbortController().signal);
    log.info('the lab is up', { name, nodes: config.nodes, mesh: config.mesh });
    return { kind: 'up' };
  } catch (e) {
    log.error('the lab cannot start', { error: describeError(e) });
    return { kind: 'failed', message: describeError(e) };
  }
}

const message = await main();
process.send?.(message, () => {
  if (process.connected) process.disconnect?.();
  if (message.kind === 'failed') process.exit(1);
});
