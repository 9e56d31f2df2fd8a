/** Options of `aquifer ztunnel-config`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

const common = {
  ...connectionOptions,
  file: { type: 'string', short: 'f', about: "a node proxy's config_dump in place of asking it", values: 'file' },
  node: { type: 'string', about: 'ask the node proxy of this node', values: 'node' },
  output: { type: 'string', short: 'o', default: 'short', about: 'format', values: ['short', 'json', 'yaml'] },
  'proxy-admin-port': { type: 'string', default: '15000', about: "of the node proxy's admin page" },
} as const satisfies Options;

const ofNamespace = (what: string) =>
  ({ type: 'string', about: `${what} of this namespace`, values: 'namespace' }) as const;

export const options = {
  workload: {
    ...common,
    address: { type: 'string', about: 'the workload with this address' },
    'workload-namespace': ofNamespace('workloads'),
    'workload-node': { type: 'string', about: 'workloads on this node', values: 'node' },
  },
  service: { ...common, 'service-namespace': ofNamespace('services') },
  policy: { ...common, 'policy-namespace': ofNamespace('policies') },
  certificate: common,
  connections: {
    ...common,
    'workload-namespace': ofNamespace('connections of workloads'),
    direction: { type: 'string', about: 'one direction alone', values: ['inbound', 'outbound'] },
    raw: { type: 'boolean', about: 'addresses in place of names' },
  },
  all: { ...common, 'with-headers': { type: 'boolean', about: 'a title before each part' } },
  log: {
    ...common,
    level: { type: 'string', about: '[TARGET:]LEVEL,...: sets them; trace, debug, info, warn, error or off' },
    reset: { type: 'boolean', short: 'r', about: 'back to what it started with' },
  },
} as const satisfies Record<string, Options>;

export type Subject = Exclude<keyof typeof options, 'log'>;
