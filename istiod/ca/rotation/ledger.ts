/**
 * Which certificates are held, in ConfigMaps istio-ca-holders-0 to -f of istiod's namespace that its replicas share: each writes only the
 * keys of what it issued, so that nobody overwrites another's. What is lost with a process counts as unknown, which holds a rotation up.
 */
import { createHash } from 'node:crypto';
import { millis } from '../../../common/core/brand.ts';
import { type Clock, sleep } from '../../../common/core/clock.ts';
import { describeError, MeshError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { configMapKind } from '../../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../../common/kube/types.ts';
import { formatHolding, type Holding, holdingKey, parseHolding } from './holding.ts';

export interface LedgerOptions {
  readonly source: KubeSource;
  readonly namespace: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface Ledger {
  /** Writes from time to time, until the signal aborts. */
  start(): void;
  record(holding: Holding): void;
  /** All that is known, own and others'. MeshError API_UNAVAILABLE. */
  read(): Promise<readonly Holding[]>;
  /** Takes out what has expired. */
  prune(): Promise<void>;
}

/** Ms between two writes of what was issued. */
const flushInterval = millis(2_000);
const shards = [...'0123456789abcdef'];

export function openLedger({ source, namespace, clock, log, signal }: LedgerOptions): Ledger {
  /** By hash; not written yet, or read. */
  const unwritten = new Map<string, Holding>();
  const nameOf = (shard: string) => `istio-ca-holders-${shard}`;

  const write = async (shard: string, entries: ReadonlyMap<string, Holding>): Promise<void> => {
    const name = nameOf(shard);
    const data = Object.fromEntries([...entries].map(([hash, h]) => [hash, formatHolding(h)]));
    const patch = () => source.patch(configMapKind, { namespace, name }, { data });
    const create = () =>
      source.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data });
    await patch()
      .catch((e: unknown) => {
        if (e instanceof MeshError && e.code === 'NOT_FOUND') return create();
        throw e;
      })
      .catch((e: unknown) => {
        // Another replica made it just now.
        if (e instanceof MeshError && e.code === 'CONFLICT') return patch();
        throw e;
      });
    // What was issued meanwhile stays.
    for (const [hash, h] of entries) if (unwritten.get(hash) === h) unwritten.delete(hash);
  };

  const flush = async (): Promise<void> => {
    for (const shard of shards) {
      const entries = new Map([...unwritten].filter(([hash]) => hash.startsWith(shard)));
      if (entries.size > 0) await write(shard, entries);
    }
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      await sleep(clock, flushInterval, signal);
      // Also once more at the end.
      await flush().catch((e: unknown) =>
        log.debug('what proxies hold cannot be written yet', { error: describeError(e), certificates: unwritten.size }),
      );
    }
  };
  return {
    start: () => void run(),
    record: (holding) => void unwritten.set(hashOf(holding), holding),
    async read() {
      const known = new Map<string, Holding>();
      for (const shard of shards) {
        const found = await source.get(configMapKind, { namespace, name: nameOf(shard) });
        for (const [hash, text] of Object.entries(found?.data ?? {})) {
          const holding = parseHolding(text);
          if (holding !== undefined) known.set(hash, holding);
        }
      }
      for (const [hash, h] of unwritten) known.set(hash, h);
      return [...known.values()];
    },
    async prune() {
      for (const shard of shards) {
        const name = nameOf(shard);
        const found = await source.get(configMapKind, { namespace, name });
        const over = Object.entries(found?.data ?? {}).filter(([, text]) => {
          const holding = parseHolding(text);
          return holding === undefined || holding.notAfter <= clock.wall();
        });
        if (found === undefined || over.length === 0) continue;
        const data = Object.fromEntries(over.map(([hash]) => [hash, null]));
        // A renewal that came between must stay: then the next time.
        await source
          .patch(configMapKind, { namespace, name }, { data }, { resourceVersion: found.metadata.resourceVersion })
          .catch((e: unknown) => {
            if (!(e instanceof MeshError && e.code === 'CONFLICT')) throw e;
          });
      }
    },
  };
}

function hashOf(holding: Holding): string {
  return createHash('sha256').update(holdingKey(holding)).digest('hex').slice(0, 32);
}
