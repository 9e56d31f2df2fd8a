/** LbSubsetConfig of a cluster, and the subset policy, which has the same fields. */
import type { Fields } from '../../../common/envoy/fields.ts';
import type { SubsetFallback, SubsetSelector, Subsets } from '../config.ts';

const fallbacks: Readonly<Record<string, SubsetFallback>> = {
  NO_FALLBACK: 'none',
  ANY_ENDPOINT: 'any',
  DEFAULT_SUBSET: 'default',
};

/** undefined: no selectors, so that Envoy too makes no subsets. */
export function readSubsets(config: Fields | undefined): Subsets | undefined {
  if (!config) return undefined;
  const aware = config.flag('locality_weight_aware');
  const scaled = config.flag('scale_locality_weight');
  const selectors = config.list('subset_selectors').map(readSelector);
  const subsets: Subsets = {
    fallback: config.choice('fallback_policy', 'NO_FALLBACK', fallbacks) ?? 'none',
    defaultSubset: config.struct('default_subset') ?? {},
    selectors,
    localityWeights: aware ? (scaled ? 'scaled' : 'as they are') : 'ignored',
    listAsAny: config.flag('list_as_any'),
    panicAny: config.flag('panic_mode_any'),
    redundantKeys: config.flag('allow_redundant_keys'),
    fallbackList:
      config.choice('metadata_fallback_policy', 'METADATA_NO_FALLBACK', {
        METADATA_NO_FALLBACK: false,
        FALLBACK_LIST: true,
      }) ?? false,
  };
  return selectors.length > 0 ? subsets : undefined;
}

function readSelector(selector: Fields): SubsetSelector {
  const keys = selector.texts('keys').toSorted();
  const singleHost = selector.flag('single_host_per_subset');
  if (singleHost && keys.length !== 1) selector.mistake('keys', 'single_host_per_subset goes with exactly one key');
  const kind = selector.choice('fallback_policy', 'NOT_DEFINED', {
    NOT_DEFINED: 'inherited',
    KEYS_SUBSET: 'keys',
    ...fallbacks,
  } as const);
  const subset = selector.texts('fallback_keys_subset').toSorted();
  if (kind !== 'keys') return { keys, singleHost, fallback: { kind: kind ?? 'none' } };
  // Fewer keys each time: so fallbacks end.
  const proper = subset.length > 0 && subset.length < keys.length && subset.every((key) => keys.includes(key));
  if (!proper) selector.mistake('fallback_keys_subset', 'is no proper, non-empty subset of keys');
  return { keys, singleHost, fallback: { kind: 'keys', keys: subset } };
}
