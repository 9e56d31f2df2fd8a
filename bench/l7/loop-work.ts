/**
 * CPU time of the thread that serves a waypoint's connections, ours or Envoy's. What a call waits for by the waypoint's fault is what that
 * thread does between its first and last byte; unlike the time that passes, it is the same on a machine that others use too.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** The thread of the process that had the CPU for longest; returns what reads its time, in us. To be called after a warm-up. */
export function loopWork(pid: number): () => number {
  const threads = readdirSync(`/proc/${pid}/task`).map((tid) => {
    const read = () => microseconds(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8'));
    return { read, so: read() };
  });
  return threads.reduce((most, one) => (one.so > most.so ? one : most)).read;
}

/** The first field is the time on a CPU in ns (Linux, Documentation/scheduler/sched-stats). */
function microseconds(schedstat: string): number {
  return Number(schedstat.split(' ', 1)[0]) / 1_000;
}
