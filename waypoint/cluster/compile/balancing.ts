/** Load balancing: lb_policy with its configuration and common_lb_config, or load_balancing_policy, which stands for both. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { isPrime } from '../balance/prime.ts';
import type { Balancing, HashKeys, Policy, SlowStart, Subsets } from '../config.ts';
import { readSubsets } from './subsets.ts';

export interface ReadBalancing {
  readonly balancing: Balancing;
  readonly subsets: Subsets | undefined;
}

const folder = 'envoy.extensions.load_balancing_policies.';
const maxRing = 8_388_608;

export function readBalancing(cluster: Fields, originalDst: boolean): ReadBalancing {
  const common = cluster.message('common_lb_config');
  // Batches updates of health and weights: a host's own health is never late here.
  common?.harmless('update_merge_window');
  const shared = {
    panicThreshold: common?.percent('healthy_panic_threshold') ?? 50,
    ignoreNewHosts: common?.flag('ignore_new_hosts_until_first_hc') ?? false,
  };
  const typed = cluster.message('load_balancing_policy');
  if (typed) {
    const extension = readExtension(typed);
    // Envoy looks at it no more either.
    cluster.harmless('lb_policy');
    return {
      subsets: extension.subsets,
      balancing: { ...shared, panicThreshold: Math.trunc(shared.panicThreshold), ...extension },
    };
  }
  const keys = readKeys(common?.message('consistent_hashing_lb_config'));
  const policy = readPolicy(cluster, keys, originalDst);
  return {
    subsets: readSubsets(cluster.message('lb_subset_config')),
    balancing: {
      ...shared,
      panicThreshold: Math.round(shared.panicThreshold),
      policy,
      locality: readLocalityOf(common),
    },
  };
}

function readPolicy(cluster: Fields, keys: HashKeys, originalDst: boolean): Policy {
  const name = cluster.choice('lb_policy', 'ROUND_ROBIN', {
    ROUND_ROBIN: 'ROUND_ROBIN',
    LEAST_REQUEST: 'LEAST_REQUEST',
    RANDOM: 'RANDOM',
    RING_HASH: 'RING_HASH',
    MAGLEV: 'MAGLEV',
    CLUSTER_PROVIDED: 'CLUSTER_PROVIDED',
  } as const);
  if (originalDst !== (name === 'CLUSTER_PROVIDED')) {
    cluster.mistake('lb_policy', 'CLUSTER_PROVIDED goes with type ORIGINAL_DST, and nothing else does');
  }
  switch (name) {
    case 'CLUSTER_PROVIDED':
      return { kind: 'given' };
    case 'LEAST_REQUEST':
      return readLeastRequest(cluster.message('least_request_lb_config'));
    case 'RANDOM':
      return { kind: 'random' };
    case 'RING_HASH': {
      const config = cluster.message('ring_hash_lb_config');
      const hash = config?.choice('hash_function', 'XX_HASH', { XX_HASH: 'xxhash', MURMUR_HASH_2: 'murmur' } as const);
      return readRing(config, hash ?? 'xxhash', keys);
    }
    case 'MAGLEV':
      return readMaglev(cluster.message('maglev_lb_config'), keys);
    default:
      return { kind: 'round-robin', slowStart: readSlowStart(cluster.message('round_robin_lb_config')) };
  }
}

type Extension = Pick<Balancing, 'policy' | 'locality'> & { readonly subsets: Subsets | undefined };

/** The first policy that is known, as in Envoy; with none of them known it is rejected with their names. */
function readExtension(typed: Fields): Extension {
  const policies = typed.list('policies').map((policy) => policy.message('typed_extension_config'));
  const known = policies.find((policy) => policy && isKnown(policy.message('typed_config')?.type ?? ''));
  for (const policy of policies) if (policy !== known) policy?.skip();
  const config = known?.message('typed_config');
  known?.harmless('name');
  if (!config) {
    const names = policies.map((policy) => policy?.message('typed_config')?.type ?? 'none');
    typed.mistake('policies', `none of ${names.join(', ')} is supported`);
    return { policy: { kind: 'round-robin', slowStart: undefined }, locality: { kind: 'none' }, subsets: undefined };
  }
  return readTyped(config);
}

const policyNames = {
  round_robin: 'RoundRobin',
  least_request: 'LeastRequest',
  random: 'Random',
  ring_hash: 'RingHash',
  maglev: 'Maglev',
  cluster_provided: 'ClusterProvided',
  wrr_locality: 'WrrLocality',
  subset: 'Subset',
} as const;

type PolicyName = keyof typeof policyNames;

function nameOf(url: string): PolicyName | undefined {
  const type = url.slice(url.indexOf('/') + 1);
  return (Object.keys(policyNames) as PolicyName[]).find((name) => type === `${folder}${name}.v3.${policyNames[name]}`);
}

function isKnown(url: string): boolean {
  return nameOf(url) !== undefined;
}

function readTyped(config: Fields): Extension {
  const none = undefined;
  switch (nameOf(config.type)!) {
    case 'round_robin': {
      const slowStart = readSlowStart(config);
      return { policy: { kind: 'round-robin', slowStart }, locality: readTypedLocality(config), subsets: none };
    }
    case 'least_request':
      return { policy: readLeastRequest(config), locality: readTypedLocality(config), subsets: none };
    case 'random':
      return { policy: { kind: 'random' }, locality: readTypedLocality(config), subsets: none };
    case 'ring_hash': {
      const hash = config.choice('hash_function', 'DEFAULT_HASH', {
        DEFAULT_HASH: 'xxhash',
        XX_HASH: 'xxhash',
        MURMUR_HASH_2: 'murmur',
      } as const);
      const older = {
        useHostname: config.flag('use_hostname_for_hashing'),
        balanceFactor: config.wrapped('hash_balance_factor', 100) ?? 0,
      };
      const newer = config.message('consistent_hashing_lb_config');
      const keys = newer ? readKeys(newer) : older;
      return { policy: readRing(config, hash ?? 'xxhash', keys), locality: readWeighted(config), subsets: none };
    }
    case 'maglev': {
      const keys = readKeys(config.message('consistent_hashing_lb_config'));
      return { policy: readMaglev(config, keys), locality: readWeighted(config), subsets: none };
    }
    case 'cluster_provided':
      return { policy: { kind: 'given' }, locality: { kind: 'none' }, subsets: none };
    case 'wrr_locality': {
      const inner = config.message('endpoint_picking_policy');
      if (!inner) config.mistake('endpoint_picking_policy', 'is missing');
      return { ...(inner ? readExtension(inner) : readNothing()), locality: { kind: 'weighted' } };
    }
    case 'subset': {
      const inner = config.message('subset_lb_policy');
      if (!inner) config.mistake('subset_lb_policy', 'is missing');
      const subsets = readSubsets(config);
      return { ...(inner ? readExtension(inner) : readNothing()), subsets };
    }
  }
}

function readNothing(): Extension {
  return { policy: { kind: 'random' }, locality: { kind: 'none' }, subsets: undefined };
}

function readSlowStart(config: Fields | undefined): SlowStart | undefined {
  const slow = config?.message('slow_start_config');
  const window = slow?.duration('slow_start_window') ?? 0;
  if (!slow) return undefined;
  const aggression = slow.message('aggression');
  // Whose default is ours without a runtime.
  aggression?.harmless('runtime_key');
  const rate = aggression ? aggression.number('default_value') : 1;
  const minWeight = (slow.percent('min_weight_percent') ?? 10) / 100;
  return window > 0
    ? { window: slow.duration('slow_start_window')!, aggression: rate > 0 ? rate : 1, minWeight }
    : undefined;
}

function readLeastRequest(config: Fields | undefined): Policy {
  const bias = config?.message('active_request_bias');
  bias?.harmless('runtime_key');
  const method = config?.choice('selection_method', 'N_CHOICES', { N_CHOICES: false, FULL_SCAN: true });
  const all = config?.wrappedFlag('enable_full_scan') ?? method ?? false;
  const choices = config?.wrapped('choice_count', 2) ?? 2;
  return {
    kind: 'least-request',
    choices: all ? 'all' : choices,
    bias: bias ? bias.number('default_value') : 1,
    slowStart: readSlowStart(config),
  };
}

function readRing(config: Fields | undefined, hash: 'xxhash' | 'murmur', keys: HashKeys): Policy {
  const minimum = config?.wrapped('minimum_ring_size', 0, maxRing) ?? 1_024;
  const maximum = config?.wrapped('maximum_ring_size', 0, maxRing) ?? maxRing;
  if (minimum > maximum) config!.mistake('minimum_ring_size', `${minimum} is above maximum_ring_size ${maximum}`);
  return { kind: 'ring-hash', minimum, maximum, hash, keys };
}

function readMaglev(config: Fields | undefined, keys: HashKeys): Policy {
  const size = config?.wrapped('table_size', 2, 5_000_011) ?? 65_537;
  if (!isPrime(size)) config!.mistake('table_size', `${size} is not prime`);
  return { kind: 'maglev', size, keys };
}

function readKeys(config: Fields | undefined): HashKeys {
  return {
    useHostname: config?.flag('use_hostname_for_hashing') ?? false,
    balanceFactor: config?.wrapped('hash_balance_factor', 100) ?? 0,
  };
}

function readLocalityOf(common: Fields | undefined): Balancing['locality'] {
  if (common?.message('locality_weighted_lb_config')) return { kind: 'weighted' };
  const zone = common?.message('zone_aware_lb_config');
  return zone ? readZoneAware(zone) : defaultZoneAware;
}

function readTypedLocality(config: Fields): Balancing['locality'] {
  const locality = config.message('locality_lb_config');
  if (!locality) return defaultZoneAware;
  if (locality.message('locality_weighted_lb_config')) return { kind: 'weighted' };
  const zone = locality.message('zone_aware_lb_config');
  return zone ? readZoneAware(zone) : defaultZoneAware;
}

function readWeighted(config: Fields): Balancing['locality'] {
  return { kind: config.message('locality_weighted_lb_config') ? 'weighted' : 'none' };
}

/** Envoy's without any configuration; it does something only where the bootstrap names a local cluster. */
const defaultZoneAware: Balancing['locality'] = {
  kind: 'zone-aware',
  enabled: 100,
  minClusterSize: 6,
  failOnPanic: false,
};

function readZoneAware(zone: Fields): Balancing['locality'] {
  return {
    kind: 'zone-aware',
    enabled: Math.round(zone.percent('routing_enabled') ?? 100),
    minClusterSize: zone.wrapped('min_cluster_size') ?? 6,
    failOnPanic: zone.flag('fail_traffic_on_panic'),
  };
}
