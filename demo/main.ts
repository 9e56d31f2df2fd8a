/**
 * `npm run demo`: real programs in a two-node lab, and what the mesh does to their traffic, claim by claim. Then it stays up
 * for playing; with --once it checks the claims, cleans up and exits 0 or 1.
 */
import { describeError } from '../common/core/errors.ts';
import { showEncrypted } from './claims/encrypted.ts';
import { showIdentities } from './claims/identities.ts';
import { showLiveSwitch } from './claims/live-switch.ts';
import { showMetrics } from './claims/metrics.ts';
import { showRefused } from './claims/refused.ts';
import { Report } from './report.ts';
import { clearStage, type Stage, setStage } from './stage.ts';

const args = process.argv.slice(2);
const once = args.includes('--once');
const unknown = args.filter((a) => a !== '--once');
if (unknown.length > 0) {
  process.stderr.write(`usage: npm run demo [-- --once]   (unknown: ${unknown.join(' ')})\n`);
  process.exit(2);
}

const report = new Report();
const started = performance.now();
const interrupted = new Promise<'interrupted'>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve('interrupted'));
});

process.exitCode = await main();
// Children of the lab may hold pipes of ours; nothing is left to wait for.
process.exit();

async function main(): Promise<number> {
  try {
    await clearStage();
    const outcome = await Promise.race([play(), interrupted]);
    if (outcome === 'interrupted') return 130;
    if (once) return outcome ? 0 : 1;
    inviteToPlay();
    // Waiting for a signal does not keep a process alive.
    const alive = setInterval(() => undefined, 60_000);
    await interrupted;
    clearInterval(alive);
    return outcome ? 0 : 1;
  } catch (e) {
    process.stderr.write(`\naquifer: the demo stopped: ${describeError(e)}\n`);
    return 1;
  } finally {
    report.note('cleaning up');
    await clearStage();
  }
}

async function play(): Promise<boolean> {
  report.heading('A lab of two nodes, with ordinary Kubernetes YAML (demo/manifests)');
  const stage = await setStage((line) => report.note(line));
  introduce(stage);
  await showEncrypted(stage, report);
  await showIdentities(stage, report);
  await showRefused(stage, report);
  await showLiveSwitch(stage, report);
  await showMetrics(stage, report);
  return report.summary((performance.now() - started) / 1_000);
}

function introduce(stage: Stage): void {
  report.line('node-1: client, stranger (curl, redis-cli, iperf3)');
  report.line('node-2: web, catalog (nginx), cache (redis-server), meter (iperf3), neighbour (curl, redis-cli)');
  for (const server of [stage.web, stage.catalog, stage.cache, stage.meter]) {
    report.line(`Service ${server.name.padEnd(7)} ${server.vips.join(', ')} -> pod ${server.podIps.join(', ')}`);
  }
}

function inviteToPlay(): void {
  report.heading('The lab stays up. Try, in another terminal (Ctrl-C here ends it):');
  report.line('bin/aquifer lab status');
  report.line('bin/aquifer lab exec deploy/shop/client -- curl -s http://web/hello');
  report.line('bin/aquifer lab logs ztunnel --node node-2');
}
