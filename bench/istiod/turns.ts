/**
 * Loaded into istiod by the bench: tells it, over IPC, of the time since it was asked last the longest that the event loop stood still
 * and the most CPU that its thread used between two turns of it: where all share two cores, the rest of the first is waiting for one.
 * From when istiod first listens: before, modules are loaded. The gauge of istiod's own metrics looks every 10 ms only, and so says up to
 * that much more.
 */
import { subscribe } from 'node:diagnostics_channel';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Stall } from './protocol.ts';

const turns = monitorEventLoopDelay({ resolution: 1 });
let [last, most] = [0, 0];

function look(): void {
  const { user, system } = process.threadCpuUsage();
  const now = (user + system) / 1_000;
  most = Math.max(most, now - last);
  last = now;
}

subscribe('tracing:net.server.listen:asyncStart', () => {
  if (!turns.enable()) return;
  look();
  most = 0;
  setInterval(look, 1).unref();
});
process.on('message', () => {
  process.send?.({ ms: turns.max / 1e6, cpuMs: most } satisfies Stall);
  turns.reset();
  most = 0;
});
process.channel?.unref();
