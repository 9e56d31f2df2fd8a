/** Options of `aquifer waypoint`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const trafficTypes = ['service', 'workload', 'all', 'none'] as const;

const revision = { type: 'string', short: 'r', about: 'whose istiod makes it' } as const;
const allNamespaces = { type: 'boolean', short: 'A', default: false, about: 'of all namespaces' } as const;
const patience = { type: 'string', default: '90s', about: 'for how long' } as const;
const wanted = {
  name: { type: 'string', default: 'waypoint', about: 'its name' },
  for: { type: 'string', about: 'what it stands before; default service', values: trafficTypes },
  revision,
} as const satisfies Options;

export const options = {
  apply: {
    ...connectionOptions,
    ...wanted,
    'enroll-namespace': {
      type: 'boolean',
      default: false,
      about: "the namespace's services are behind it from then on",
    },
    overwrite: { type: 'boolean', default: false, about: 'takes them from another one' },
    wait: { type: 'boolean', short: 'w', default: false, about: 'until it serves' },
    'waypoint-timeout': patience,
  },
  generate: { ...connectionOptions, ...wanted },
  list: { ...connectionOptions, 'all-namespaces': allNamespaces },
  status: {
    ...connectionOptions,
    'all-namespaces': allNamespaces,
    wait: { type: 'boolean', short: 'w', default: true, about: 'until each serves; --wait=false tells what is' },
    'waypoint-timeout': patience,
  },
  delete: {
    ...connectionOptions,
    all: { type: 'boolean', default: false, about: 'of the namespace' },
    revision: { type: 'string', short: 'r', about: 'those of this revision' },
  },
} as const satisfies Record<string, Options>;
