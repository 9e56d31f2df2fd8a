/** ConfigMaps that objects name: each is looked up when it is first asked for, and followed from then on. */
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer, type Informer } from '../../common/kube/informer.ts';
import { type ConfigMap, configMapKind } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { Looked } from '../envoy/credentials.ts';

export interface ConfigMapsOptions {
  readonly source: KubeSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** What is found of it is something else now: `config map NAMESPACE/NAME`. */
  readonly onChange: (lookup: string) => void;
}

interface Followed {
  readonly informer: Informer<ConfigMap>;
  isKnown: boolean;
}

/** Until one that nobody answers for counts as none. */
const patience = millis(2_000);

export class ConfigMaps {
  readonly #o: ConfigMapsOptions;
  readonly #followed = new Map<string, Followed>();

  constructor(options: ConfigMapsOptions) {
    this.#o = options;
  }

  get(namespace: string, name: string): Looked<ReadonlyMap<string, string> | undefined> {
    const { informer, isKnown } = this.#follow(namespace, name);
    if (!isKnown) return { kind: 'pending' };
    const found = informer.get({ namespace, name });
    return { kind: 'found', value: found && new Map(Object.entries(found.data ?? {})) };
  }

  #follow(namespace: string, name: string): Followed {
    const key = `${namespace}/${name}`;
    const known = this.#followed.get(key);
    if (known !== undefined) return known;
    const { source, clock, log, signal, onChange } = this.#o;
    const changed = () => followed.isKnown && onChange(`config map ${key}`);
    const informer = createInformer<ConfigMap>({
      source,
      kind: configMapKind,
      within: { namespace, name },
      log,
      signal,
      clock,
      trim: (object) => object,
      handlers: { added: changed, modified: changed, deleted: changed },
    });
    const followed: Followed = { informer, isKnown: false };
    this.#followed.set(key, followed);
    const settle = () => {
      if (followed.isKnown || signal.aborted) return;
      followed.isKnown = true;
      onChange(`config map ${key}`);
    };
    void informer.synced.then(settle);
    clock.after(patience, settle);
    return followed;
  }
}
