/**
 * What kubelet is on a node, as far as the network sees it: a process in a cgroup of its own that probes pods from the node's
 * address (ebpf-datapath section 4, host probes).
 */
import { millis } from '../../common/core/brand.ts';
import { sleep, systemClock } from '../../common/core/clock.ts';
import { assertNever } from '../../common/core/errors.ts';
import { attempt } from './probe.ts';
import type { ProberRequest, ProberResult } from './protocol.ts';

const running = new Map<string, AbortController>();

process.on('message', (message) => {
  const request = message as ProberRequest;
  switch (request.kind) {
    case 'set':
      running.get(request.key)?.abort();
      void probeUntilRemoved(request);
      return;
    case 'try':
      void attempt(request.probe, request.timeout).then((failure) => tell(request.key, failure));
      return;
    case 'remove':
      running.get(request.key)?.abort();
      running.delete(request.key);
      return;
    default:
      assertNever(request);
  }
});
process.on('disconnect', () => process.exit(0));

async function probeUntilRemoved(request: Extract<ProberRequest, { kind: 'set' }>): Promise<void> {
  const controller = new AbortController();
  running.set(request.key, controller);
  const { signal } = controller;
  await sleep(systemClock, millis(request.initialDelay), signal);
  for (let succeeded = false; !signal.aborted; ) {
    const failure = await attempt(request.probe, request.timeout);
    if (signal.aborted) return;
    succeeded ||= failure === undefined;
    tell(request.key, failure);
    await sleep(systemClock, millis(succeeded ? request.period : request.firstPeriod), signal);
  }
}

function tell(key: string, failure: string | undefined): void {
  const result: ProberResult = failure === undefined ? { key } : { key, failure };
  process.send?.(result);
}
