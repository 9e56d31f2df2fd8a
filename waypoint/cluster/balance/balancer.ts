/** The balancer of a set of hosts, by the cluster's policy. */
import type { Balancing, Policy } from '../config.ts';
import type { LiveHost } from '../hosts/host.ts';
import type { HostView } from '../hosts/priorities.ts';
import type { Balancer, Dice, Pick, PickContext, PickReason } from '../types.ts';
import { bounded } from './bounded.ts';
import { type Chooser, chooserOf } from './choose.ts';
import { buildMaglev } from './maglev.ts';
import { normalize } from './normalize.ts';
import { choosePriority, priorityLoad } from './priority-load.ts';
import { buildRing } from './ring.ts';
import { Sources } from './source.ts';
import type { HashTable } from './table.ts';
import type { LocalCluster } from './zone-aware.ts';

export interface BalancerOptions {
  /** Monotonic ms. */
  readonly now: () => number;
  /** Requests under way to all hosts of the cluster. */
  readonly active: () => number;
  readonly local?: LocalCluster | undefined;
  /** The subset that these hosts are, for `why`. */
  readonly subset?: string | undefined;
}

type Hashing = Extract<Policy, { kind: 'ring-hash' | 'maglev' }>;

export function makeBalancer(view: HostView, balancing: Balancing, options: BalancerOptions): Balancer {
  const { policy } = balancing;
  switch (policy.kind) {
    case 'ring-hash':
    case 'maglev':
      return hashing(view, balancing, policy, options);
    case 'given':
      return { pick: () => ({ kind: 'none', reason: 'an ORIGINAL_DST cluster has no balancer' }) };
    default:
      return choosing(view, balancing, policy.kind.replace('-', ' '), chooserOf(policy, options.now), options);
  }
}

function choosing(
  view: HostView,
  balancing: Balancing,
  policy: string,
  choose: Chooser,
  { local, subset }: BalancerOptions,
): Balancer {
  const sources = new Sources(view, balancing, { policy, local, subset });
  return {
    pick(context) {
      let last: Pick | undefined;
      for (let attempt = context.retries ?? 0; attempt >= 0; attempt--) {
        const source = sources.choose(context.dice, context.adjust);
        if (!source) return { kind: 'none', reason: 'too few hosts are healthy, and fail_traffic_on_panic is set' };
        const host = choose(source, context.dice);
        if (!host) return last ?? nobody(source.why);
        last = { kind: 'host', host, why: source.why };
        if (!context.tried?.has(host)) return last;
      }
      return last!;
    },
  };
}

interface PriorityTable {
  readonly why: PickReason;
  readonly table: HashTable;
}

function hashing(view: HostView, balancing: Balancing, policy: Hashing, options: BalancerOptions): Balancer {
  const load = priorityLoad(view, balancing.panicThreshold);
  const byLocality = balancing.locality.kind === 'weighted';
  const tables = new Map<number, PriorityTable>();
  // Made when the first request comes: most clusters of a mesh never see one.
  const tableOf = (priority: number): PriorityTable => {
    const known = tables.get(priority);
    if (known) return known;
    const panic = load.panic[priority]!;
    const hosts = normalize(view.priorities[priority]!, panic, byLocality);
    const table = policy.kind === 'maglev' ? buildMaglev(hosts, policy) : buildRing(hosts, policy);
    const { balanceFactor } = policy.keys;
    const made = {
      table: balanceFactor > 0 ? bounded(table, hosts, balanceFactor, options.active) : table,
      why: {
        policy: policy.kind.replace('-', ' '),
        priority,
        among: panic ? ('all, in panic' as const) : ('healthy' as const),
        ...(options.subset !== undefined && { subset: options.subset }),
      },
    };
    tables.set(priority, made);
    return made;
  };
  return {
    pick(context) {
      const hash = context.hash ?? random64(context.dice);
      const { priority } = choosePriority(context.adjust ? context.adjust(load) : load, Number(hash % 100n));
      const { table, why } = tableOf(priority);
      return find(table, hash, why, context);
    },
  };
}

function find(table: HashTable, hash: bigint, why: PickReason, context: PickContext): Pick {
  let host: LiveHost | undefined;
  for (let attempt = 0; attempt <= (context.retries ?? 0); attempt++) {
    host = table.find(hash, attempt);
    if (!host) return nobody(why);
    if (!context.tried?.has(host)) break;
  }
  return { kind: 'host', host: host!, why };
}

function random64(dice: Dice): bigint {
  const half = () => BigInt(Math.floor(dice.random() * 4_294_967_296));
  return (half() << 32n) | half();
}

function nobody({ among, priority, subset }: PickReason): Pick {
  const where = subset === undefined ? '' : ` in subset ${subset}`;
  const which = among === 'all, in panic' ? 'no host' : `no ${among} host`;
  return { kind: 'none', reason: `${which}${where} at priority ${priority}` };
}
