/** envoy.config.common.mutation_rules.v3: which headers a service may change. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { type Regex, readRegex } from '../../match/regex.ts';

export interface MutationRules {
  readonly allowAllRouting?: boolean;
  readonly allowEnvoy?: boolean;
  readonly disallowSystem?: boolean;
  readonly disallowAll?: boolean;
  readonly allow?: Regex | undefined;
  readonly disallow?: Regex | undefined;
  /** What may not be changed fails the request; else it is left as it is. */
  readonly isError?: boolean;
}

export function readMutationRules(fields: Fields): MutationRules {
  return {
    allowAllRouting: fields.wrappedFlag('allow_all_routing') ?? false,
    allowEnvoy: fields.wrappedFlag('allow_envoy') ?? false,
    disallowSystem: fields.wrappedFlag('disallow_system') ?? false,
    disallowAll: fields.wrappedFlag('disallow_all') ?? false,
    allow: fields.read('allow_expression', readRegex),
    disallow: fields.read('disallow_expression', readRegex),
    isError: fields.wrappedFlag('disallow_is_error') ?? false,
  };
}

const routing: ReadonlySet<string> = new Set(['host', ':authority', ':scheme', ':method']);

/** `name` in lower case. */
export function mayMutate(rules: MutationRules, name: string, how: 'set' | 'remove'): boolean {
  const isSystem = name.startsWith(':');
  // No message is one without them.
  if (how === 'remove' && (isSystem || name === 'host')) return false;
  if (rules.disallow?.matches(name)) return false;
  if (rules.allow?.matches(name)) return true;
  if (rules.disallowAll) return false;
  if (rules.disallowSystem && isSystem) return false;
  if (!rules.allowAllRouting && routing.has(name)) return false;
  return rules.allowEnvoy === true || !name.startsWith('x-envoy');
}
