/** Writes what `planAddresses` says into the status of ServiceEntries, one istiod of several. */
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { type ServiceEntry, serviceEntryKind } from '../../common/kube/kinds/istio/service-entry.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { planAddresses } from './plan.ts';

export interface AllocatorOptions {
  readonly source: KubeSource;
  readonly clock: Clock;
  readonly log: Logger;
  /** All there are, by `namespace/name`. */
  readonly entries: () => ReadonlyMap<string, ServiceEntry>;
}

/** Ms in which changes are taken together, and in which a write comes back by the watch. */
const pause = millis(50);
const afterFailure = millis(5_000);

export class AddressAllocator {
  readonly #options: AllocatorOptions;
  #changed = Promise.withResolvers<void>();

  constructor(options: AllocatorOptions) {
    this.#options = options;
  }

  /** An entry came, changed or went. */
  mark(): void {
    this.#changed.resolve();
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    this.mark();
    while (!signal.aborted) {
      await Promise.race([this.#changed.promise, ended]);
      await sleep(clock, pause, signal);
      this.#changed = Promise.withResolvers();
      try {
        await this.#write(signal);
      } catch (e) {
        log.warn('cannot give a ServiceEntry its addresses', { error: describeError(e) });
        await sleep(clock, afterFailure, signal);
        this.mark();
      }
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    const entries = this.#options.entries();
    for (const [key, addresses] of planAddresses(entries.values())) {
      const entry = entries.get(key);
      if (signal.aborted || entry === undefined) return;
      const { name, namespace = 'default', resourceVersion } = entry.metadata;
      const status = { addresses: addresses.length === 0 ? null : addresses };
      try {
        const options = { subresource: 'status', resourceVersion } as const;
        await this.#options.source.patch(serviceEntryKind, { namespace, name }, { status }, options);
      } catch (e) {
        if (!(e instanceof MeshError) || (e.code !== 'CONFLICT' && e.code !== 'NOT_FOUND')) throw e;
        // What changed it meanwhile may change the plan for all.
        return this.mark();
      }
    }
  }
}
