/** Which hosts a pick is made from: priority, availability, locality. What balancers but the hashing ones do first. */
import type { Balancing } from '../config.ts';
import type { LiveHost } from '../hosts/host.ts';
import type { HostView, LocalityHosts, PriorityHosts } from '../hosts/priorities.ts';
import type { Dice, PickContext, PickReason } from '../types.ts';
import { EdfScheduler } from './edf.ts';
import { type Availability, choosePriority, type PriorityLoad, priorityLoad } from './priority-load.ts';
import { chooseZone, type LocalCluster, planZones, type ZonePlan } from './zone-aware.ts';

/** Hosts that are chosen among together; the same object as long as the view lives, so that policies keep their state by it. */
export interface Source {
  readonly hosts: readonly LiveHost[];
  readonly why: PickReason;
}

export interface SourceOptions {
  readonly policy: string;
  readonly subset: string | undefined;
  readonly local: LocalCluster | undefined;
}

interface PrioritySources {
  readonly all: Source;
  readonly healthy: Source;
  readonly degraded: Source;
  /** Weighted choice of a locality; undefined: no locality has weight. */
  readonly weighted: Readonly<Record<Availability, EdfScheduler<WeightedLocality> | undefined>>;
  readonly byLocality: Readonly<Record<Availability, readonly Source[]>>;
}

interface WeightedLocality {
  readonly source: Source;
  readonly weight: number;
}

export class Sources {
  readonly #load: PriorityLoad;
  readonly #sources: readonly PrioritySources[];
  readonly #balancing: Balancing;
  readonly #zones: ZonePlan;
  readonly #local: LocalCluster | undefined;

  constructor(view: HostView, balancing: Balancing, options: SourceOptions) {
    this.#balancing = balancing;
    this.#local = options.local;
    this.#load = priorityLoad(view, balancing.panicThreshold);
    this.#sources = view.priorities.map((hosts) => sourcesOf(hosts, view.overprovisioning, balancing, options));
    // Envoy too looks at zones in the first priority only.
    this.#zones =
      balancing.locality.kind === 'zone-aware'
        ? planZones(view.priorities[0]!, options.local, balancing.locality)
        : { kind: 'none', reason: 'not zone aware' };
  }

  /** undefined: the priority panics, and the cluster fails requests then. */
  choose(dice: Dice, adjust?: PickContext['adjust']): Source | undefined {
    const load = adjust ? adjust(this.#load) : this.#load;
    const { priority, availability } = choosePriority(load, Math.floor(dice.random() * 100));
    const sources = this.#sources[priority]!;
    const { locality } = this.#balancing;
    if (this.#load.panic[priority]) {
      return locality.kind === 'zone-aware' && locality.failOnPanic ? undefined : sources.all;
    }
    if (locality.kind === 'weighted') {
      const chosen = sources.weighted[availability]?.next(({ weight }) => weight);
      if (chosen) return chosen.source;
    }
    if (priority === 0 && this.#zones.kind !== 'none' && locality.kind === 'zone-aware') {
      if (locality.enabled < 100 && dice.random() * 100 >= locality.enabled) return sources[availability];
      if (this.#local?.panics) return locality.failOnPanic ? undefined : sources[availability];
      return sources.byLocality[availability][chooseZone(this.#zones, dice)]!;
    }
    return sources[availability];
  }
}

function sourcesOf(
  hosts: PriorityHosts,
  overprovisioning: number,
  balancing: Balancing,
  { policy, subset }: SourceOptions,
): PrioritySources {
  const why = (among: PickReason['among'], at?: LocalityHosts): PickReason => ({
    policy,
    priority: hosts.priority,
    among,
    ...(at && { locality: at.locality }),
    ...(subset !== undefined && { subset }),
  });
  const useLocalities = balancing.locality.kind !== 'none' && hosts.localities.length > 0;
  const perLocality = (availability: Availability) =>
    useLocalities ? hosts.localities.map((at) => ({ hosts: at[availability], why: why(availability, at) })) : [];
  const byLocality = { healthy: perLocality('healthy'), degraded: perLocality('degraded') };
  const weighted = (availability: Availability) =>
    balancing.locality.kind === 'weighted'
      ? schedule(hosts.localities, byLocality[availability], availability, overprovisioning)
      : undefined;
  return {
    all: { hosts: hosts.all, why: why('all, in panic') },
    healthy: { hosts: hosts.healthy, why: why('healthy') },
    degraded: { hosts: hosts.degraded, why: why('degraded') },
    byLocality,
    weighted: { healthy: weighted('healthy'), degraded: weighted('degraded') },
  };
}

function schedule(
  localities: readonly LocalityHosts[],
  sources: readonly Source[],
  availability: Availability,
  overprovisioning: number,
): EdfScheduler<WeightedLocality> | undefined {
  const entries = localities.flatMap((at, i) => {
    const weight = effectiveWeight(at, availability, overprovisioning);
    return weight > 0 ? [{ source: sources[i]!, weight }] : [];
  });
  if (entries.length === 0) return undefined;
  const scheduler = new EdfScheduler<WeightedLocality>();
  for (const entry of entries) scheduler.add(entry, entry.weight);
  return scheduler;
}

/** Shrinks with the share of hosts that can be had, overprovisioned. */
export function effectiveWeight(at: LocalityHosts, availability: Availability, overprovisioning: number): number {
  const size = at.all.length - at.excluded;
  if (size === 0 || at[availability].length === 0) return 0;
  return at.weight * Math.min(1, (overprovisioning / 100) * (at[availability].length / size));
}
