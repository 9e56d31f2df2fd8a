/** The policies that choose without a hash: round robin, least request, random. */
import type { Policy, SlowStart } from '../config.ts';
import type { LiveHost } from '../hosts/host.ts';
import type { Dice } from '../types.ts';
import { EdfScheduler } from './edf.ts';
import { isStarting, startingWeight } from './slow-start.ts';
import type { Source } from './source.ts';

export type Chooser = (source: Source, dice: Dice) => LiveHost | undefined;
type Scheduled = Extract<Policy, { kind: 'round-robin' | 'least-request' }>;

/** `now`: monotonic ms. */
export function chooserOf(policy: Scheduled | { readonly kind: 'random' }, now: () => number): Chooser {
  switch (policy.kind) {
    case 'random':
      return ({ hosts }, dice) => hosts[Math.floor(dice.random() * hosts.length)];
    case 'round-robin':
      return scheduled(policy.slowStart, now, (host) => host.weight, roundRobin());
    case 'least-request': {
      const { bias } = policy;
      const weight = (host: LiveHost) => {
        const active = host.load.requests + 1;
        return bias === 0 ? host.weight : bias === 1 ? host.weight / active : host.weight / active ** bias;
      };
      return scheduled(policy.slowStart, now, weight, leastRequest(policy.choices));
    }
  }
}

/** By weight where weights differ or a host is starting, else by `even`. */
function scheduled(
  slow: SlowStart | undefined,
  now: () => number,
  base: (host: LiveHost) => number,
  even: Chooser,
): Chooser {
  const weight = slow ? (host: LiveHost) => startingWeight(base(host), host, slow, now()) : base;
  const schedulers = new WeakMap<Source, EdfScheduler<LiveHost> | 'even'>();
  return (source, dice) => {
    if (source.hosts.length < 2) return source.hosts[0];
    let scheduler = schedulers.get(source);
    if (scheduler === undefined) {
      scheduler = isEven(source.hosts, slow, now()) ? 'even' : schedule(source.hosts, weight, dice);
      schedulers.set(source, scheduler);
    }
    return scheduler === 'even' ? even(source, dice) : scheduler.next(weight);
  };
}

function isEven(hosts: readonly LiveHost[], slow: SlowStart | undefined, now: number): boolean {
  const [first] = hosts;
  return hosts.every((host) => host.weight === first!.weight && !(slow && isStarting(host, slow, now)));
}

/** From a random place, so that many proxies do not begin with the same host. */
function schedule(hosts: readonly LiveHost[], weight: (host: LiveHost) => number, dice: Dice): EdfScheduler<LiveHost> {
  const scheduler = new EdfScheduler<LiveHost>();
  for (const host of hosts) scheduler.add(host, weight(host));
  for (let i = Math.floor(dice.random() * hosts.length); i > 0; i--) scheduler.next(weight);
  return scheduler;
}

function roundRobin(): Chooser {
  const next = new WeakMap<Source, number>();
  return (source, dice) => {
    const at = next.get(source) ?? Math.floor(dice.random() * source.hosts.length);
    next.set(source, (at + 1) % source.hosts.length);
    return source.hosts[at];
  };
}

/** The least loaded of so many random ones, or of all, the first of equals being chosen by chance. */
function leastRequest(choices: number | 'all'): Chooser {
  return ({ hosts }, dice) => {
    const start = Math.floor(dice.random() * hosts.length);
    let best = hosts[start]!;
    const tries = choices === 'all' ? hosts.length : choices;
    for (let i = 1; i < tries; i++) {
      const at = choices === 'all' ? (start + i) % hosts.length : Math.floor(dice.random() * hosts.length);
      if (hosts[at]!.load.requests < best.load.requests) best = hosts[at]!;
    }
    return best;
  };
}
