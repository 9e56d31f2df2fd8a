/**
 * Loaded into istiod by the bench: tells it, over IPC, of the time since it was told to look the longest that the event loop stood still
 * and the most CPU that its thread used between two turns of it: where all share two cores, the rest of the first is waiting for one. It
 * looks by itself from when istiod first listens: before, modules are loaded. Then it does not, because looking takes 30 ms of CPU a second,
 * a third of what fifty clients take. The gauge of istiod's own metrics looks every 10 ms only, and so says up to that much more.
 */
import { subscribe } from 'node:diagnostics_channel';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Stall, StallCommand } from './protocol.ts';

const turns = monitorEventLoopDelay({ resolution: 1 });
let timer: NodeJS.Timeout | undefined;
let [last, most] = [0, 0];

function look(): void {
  const { user, system } = process.threadCpuUsage();
  const now = (user + system) / 1_000;
  most = Math.max(most, now - last);
  last = now;
}

function begin(): void {
  if (!turns.enable()) return;
  turns.reset();
  look();
  most = 0;
  timer = setInterval(look, 1);
  timer.unref();
}

subscribe('tracing:net.server.listen:asyncStart', begin);
process.on('message', (command: StallCommand) => {
  if (command === 'look') {
    begin();
    return;
  }
  turns.disable();
  clearInterval(timer);
  process.send?.({ ms: turns.max / 1e6, cpuMs: most } satisfies Stall);
});
process.channel?.unref();
