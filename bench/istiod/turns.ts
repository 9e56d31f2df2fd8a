/**
 * Loaded into istiod by the bench: tells it, over IPC, of the time since it was told to look the longest that the event loop stood still,
 * the longest beside what it waited for a core, as the kernel counts it (where all share two cores most of it is that), and the most CPU
 * that its thread used between two turns. It looks by itself from when istiod first listens: before, modules are loaded. Then it does
 * not, because looking takes 30 ms of CPU a second, a third of what fifty clients take. The gauge of istiod's own metrics looks every
 * 10 ms only, and so says up to that much more.
 */
import { subscribe } from 'node:diagnostics_channel';
import { openSync, readSync } from 'node:fs';
import type { Stall, StallCommand } from './protocol.ts';

/** Ms between two looks. */
const period = 1;

interface Look {
  readonly at: number;
  readonly cpu: number;
  readonly waited: number;
}

/** Of the thread in which JavaScript runs: ns on a core, ns that it waited for one. */
const schedule = openSync('/proc/self/schedstat', 'r');
const text = Buffer.alloc(128);
let timer: NodeJS.Timeout | undefined;
let last: Look;
let worst: Stall;

function look(): Look {
  const { user, system } = process.threadCpuUsage();
  const [, waited] = text.toString('latin1', 0, readSync(schedule, text, 0, text.length, 0)).split(' ');
  return { at: performance.now(), cpu: (user + system) / 1_000, waited: Number(waited) / 1e6 };
}

function compare(): void {
  const now = look();
  const ms = Math.max(now.at - last.at - period, 0);
  worst = {
    ms: Math.max(worst.ms, ms),
    ownMs: Math.max(worst.ownMs, ms - (now.waited - last.waited)),
    cpuMs: Math.max(worst.cpuMs, now.cpu - last.cpu),
  };
  last = now;
}

function begin(): void {
  if (timer !== undefined) return;
  last = look();
  worst = { ms: 0, ownMs: 0, cpuMs: 0 };
  timer = setInterval(compare, period);
  timer.unref();
}

subscribe('tracing:net.server.listen:asyncStart', begin);
process.on('message', (command: StallCommand) => {
  if (command === 'look') {
    begin();
    return;
  }
  clearInterval(timer);
  timer = undefined;
  process.send?.(worst);
});
process.channel?.unref();
