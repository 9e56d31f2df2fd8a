/** What a host is hashed by: `hash_key` of its metadata `envoy.lb`, its name, or its address. */
import type { HashKeys } from '../config.ts';
import type { Host } from '../types.ts';

export function hashKey(host: Host, keys: HashKeys): string {
  const own = host.metadata['envoy.lb']?.['hash_key'];
  if (typeof own === 'string' && own !== '') return own;
  return keys.useHostname ? host.hostname : host.key;
}
