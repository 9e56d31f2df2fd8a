/**
 * How far the proxies of other replicas are: each replica keeps a ConfigMap of its own, by object of which another one writes the
 * status what its clients confirmed of which generation; that one adds them up. What a replica has not said yet counts as not confirmed.
 */
import { createHash } from 'node:crypto';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer } from '../../common/kube/informer.ts';
import { type ConfigMap, configMapKind } from '../../common/kube/kinds/core.ts';
import { isObject } from '../../common/kube/schema/validate.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { Progress } from './programmed.ts';

export interface ReportsOptions {
  readonly source: KubeSource;
  readonly namespace: string;
  /** Different for each process that runs at one time. */
  readonly instance: string;
  /** Of this replica: others do not see what names it. */
  readonly revision: string;
  /** Clients of this replica. */
  readonly clients: () => number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Others say something new of the objects with these marks; undefined: perhaps of all. */
  readonly onChange: (marks: ReadonlySet<string> | undefined) => void;
}

const prefix = 'istio-proxies-';
/** Ms between two signs of life, after which nobody counts a replica, and between two looks for such. */
const heartbeat = millis(20_000);
const lifetime = 65_000;
const look = millis(5_000);
/** Ms between two writes. */
const pace = millis(500);
/** Ms before the first one: who starts alone leads soon. */
const patience = 2_000;

/** Under which an object is kept. */
export function markOf(objectKey: string): string {
  return createHash('sha256').update(objectKey).digest('hex').slice(0, 24);
}

export class Reports {
  readonly #options: ReportsOptions;
  readonly #key: { readonly namespace: string; readonly name: string };
  /** Mark -> text that is written, or to be. */
  readonly #said = new Map<string, string>();
  readonly #unwritten = new Set<string>();
  readonly #others: ReadonlyMap<string, ConfigMap>;
  /** When the others were seen to change last, on the monotonic clock. */
  readonly #seen = new Map<string, number>();
  /** Since when it may write what its clients confirmed; undefined: it leads. */
  #since: number | undefined;
  #beatAt = Number.NEGATIVE_INFINITY;

  constructor(options: ReportsOptions) {
    this.#options = options;
    const { source, namespace, instance, log, signal, onChange, clock } = options;
    this.#key = { namespace, name: `${prefix}${markOf(instance)}` };
    const isOther = ({ metadata: { name } }: ConfigMap) => name.startsWith(prefix) && name !== this.#key.name;
    const note = (map: ConfigMap, previous?: ConfigMap) => {
      if (!isOther(map)) return;
      this.#seen.set(map.metadata.name, clock.now());
      onChange(
        previous && previous.data?.['clients'] === map.data?.['clients'] ? differences(previous, map) : undefined,
      );
    };
    const { objects } = createInformer<ConfigMap>({
      source,
      kind: configMapKind,
      within: { namespace },
      log,
      signal,
      clock,
      // The namespace has others, which are nothing to us.
      trim: (map) => (isOther(map) ? map : { ...map, data: {} }),
      handlers: {
        added: note,
        modified: note,
        deleted: (map) => {
          if (this.#seen.delete(map.metadata.name)) onChange(undefined);
        },
      },
    });
    this.#others = objects;
    void this.#keep();
  }

  /** What the proxies of this replica and of the others have confirmed of that generation of the object; `revision`: which alone sees it. */
  sum(own: Progress, mark: string, generation: number, revision: string | undefined): Progress {
    let { proxies, confirmed } = own;
    const rejections = [...own.rejections];
    for (const { metadata, data = {} } of this.#others.values()) {
      if (!this.#lives(metadata.name) || (revision !== undefined && data['revision'] !== revision)) continue;
      const told = parse(data[mark]);
      if (told?.generation === generation) {
        proxies += told.proxies;
        confirmed += told.confirmed;
        rejections.push(...told.rejections);
      } else proxies += Number(data['clients']) || 0;
    }
    return { proxies, confirmed, rejections };
  }

  /** Of the clients of this replica; undefined: there is nothing of the object. Written soon. */
  say(mark: string, generation: number, progress: Progress | undefined): void {
    const text = progress && JSON.stringify({ generation, ...progress });
    if (this.#said.get(mark) === text) return;
    if (text === undefined) this.#said.delete(mark);
    else this.#said.set(mark, text);
    this.#unwritten.add(mark);
  }

  /** This one leads now, and counts its clients itself. */
  async withdraw(): Promise<void> {
    this.#since = undefined;
    this.#beatAt = Number.NEGATIVE_INFINITY;
    this.#said.clear();
    this.#unwritten.clear();
    await this.#options.source.delete(configMapKind, this.#key).catch(() => undefined);
  }

  /** Begins to say what its clients confirmed, though that may be nothing yet. */
  report(): void {
    this.#since ??= this.#options.clock.now();
  }

  /** Deletes what replicas that are gone have left; for the one that leads. */
  async clean(): Promise<void> {
    const { source, namespace, log } = this.#options;
    for (const name of this.#seen.keys()) {
      if (this.#lives(name)) continue;
      await source
        .delete(configMapKind, { namespace, name })
        .catch((e: unknown) => log.debug('what a replica left stays', { name, error: describeError(e) }));
    }
  }

  #lives(name: string): boolean {
    const since = this.#seen.get(name);
    return since !== undefined && this.#options.clock.now() - since < lifetime;
  }

  async #keep(): Promise<void> {
    const { clock, log, signal, onChange } = this.#options;
    let alive = '';
    let lookedAt = clock.now();
    while (!signal.aborted) {
      await sleep(clock, pace, signal);
      if (clock.now() - lookedAt >= look) {
        lookedAt = clock.now();
        const now = [...this.#seen.keys()].filter((name) => this.#lives(name)).join();
        if (now !== alive) onChange(undefined);
        alive = now;
      }
      await this.#flush().catch((e: unknown) =>
        log.debug('what proxies confirmed cannot be told yet', { error: describeError(e) }),
      );
    }
    await this.withdraw();
  }

  async #flush(): Promise<void> {
    const { source, clients, clock, revision } = this.#options;
    const isDue = clock.now() - this.#beatAt >= heartbeat;
    if (this.#since === undefined || clock.now() - this.#since < patience) return;
    if (this.#unwritten.size === 0 && !isDue) return;
    const marks = [...this.#unwritten];
    this.#unwritten.clear();
    const data: Record<string, string | null> = {
      clients: String(clients()),
      revision,
      renewed: new Date(clock.wall()).toISOString(),
    };
    for (const mark of marks) data[mark] = this.#said.get(mark) ?? null;
    try {
      await source.patch(configMapKind, this.#key, { data }).catch((e: unknown) => {
        if (!(e instanceof MeshError && e.code === 'NOT_FOUND')) throw e;
        const { clients: count, renewed } = data;
        const all = { ...Object.fromEntries(this.#said), clients: count, renewed, revision };
        return source.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: this.#key, data: all });
      });
      this.#beatAt = clock.now();
    } catch (e) {
      for (const mark of marks) this.#unwritten.add(mark);
      throw e;
    }
  }
}

function differences({ data: a = {} }: ConfigMap, { data: b = {} }: ConfigMap): ReadonlySet<string> {
  return new Set([...Object.keys(a), ...Object.keys(b)].filter((name) => a[name] !== b[name]));
}

function parse(text: string | undefined): (Progress & { readonly generation: number }) | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '');
    if (!isObject(value) || !Array.isArray(value['rejections'])) return undefined;
    const { generation, proxies, confirmed } = value;
    if (![generation, proxies, confirmed].every(Number.isSafeInteger)) return undefined;
    return value as unknown as Progress & { readonly generation: number };
  } catch {
    return undefined;
  }
}
