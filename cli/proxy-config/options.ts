/** Options of `aquifer proxy-config`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

const admin = {
  ...connectionOptions,
  'proxy-admin-port': { type: 'string', default: '15000', about: "of the proxy's admin page" },
} as const satisfies Options;

const output = (preset: 'short' | 'json') =>
  ({ type: 'string', short: 'o', default: preset, about: 'format', values: ['short', 'json', 'yaml'] }) as const;

const common = {
  ...admin,
  output: output('short'),
  file: { type: 'string', short: 'f', about: "a proxy's config_dump in place of asking it", values: 'file' },
} as const satisfies Options;

const port = { type: 'string', about: 'with this port' } as const;
const address = { type: 'string', about: 'with this address' } as const;
const verbose = { type: 'boolean', default: true, about: '--verbose=false shows less' } as const;
const clusters = {
  direction: { type: 'string', about: 'of this direction', values: ['inbound', 'outbound', 'inbound-vip'] },
  fqdn: { type: 'string', about: 'whose host contains this' },
  port,
  subset: { type: 'string', about: 'whose subset contains this' },
} as const;
const listeners = {
  address,
  port,
  type: { type: 'string', about: 'of this type', values: ['HTTP', 'TCP', 'HTTP+TCP', 'UNKNOWN'] },
  verbose,
} as const;
const routes = { name: { type: 'string', about: 'of this name' }, verbose } as const;

export const options = {
  cluster: { ...common, ...clusters },
  listener: {
    ...common,
    ...listeners,
    waypoint: { type: 'boolean', about: 'chains by how a waypoint reaches them' },
  },
  route: { ...common, ...routes },
  endpoint: {
    ...common,
    address,
    port,
    cluster: { type: 'string', about: 'of this cluster' },
    status: {
      type: 'string',
      about: 'with this status',
      values: ['healthy', 'unhealthy', 'draining', 'timeout', 'degraded'],
    },
  },
  secret: common,
  bootstrap: { ...common, output: output('json') },
  all: {
    ...common,
    ...clusters,
    ...listeners,
    ...routes,
    'with-headers': { type: 'boolean', about: 'a title before each part' },
  },
  'rootca-compare': { ...admin, output: output('short') },
  log: {
    ...admin,
    output: output('short'),
    level: { type: 'string', about: '[LOGGER:]LEVEL,...: sets them' },
    reset: { type: 'boolean', short: 'r', about: 'back to what a proxy starts with' },
    selector: { type: 'string', short: 'l', about: 'of pods with these labels, NAME=VALUE,...' },
  },
} as const satisfies Record<string, Options>;

export type Subject = Exclude<keyof typeof options, 'log' | 'rootca-compare'>;
