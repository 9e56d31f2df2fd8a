/** Options of `aquifer install`, `uninstall` and `manifest generate`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

const yes = { type: 'boolean', short: 'y', about: 'asks nothing' } as const;
const dryRun = { type: 'boolean', about: 'prints what would be done' } as const;
const revision = { type: 'string', short: 'r', about: 'of istiod: beside one of another revision' } as const;

const values = {
  set: { type: 'string', short: 's', multiple: true, about: 'CHART.KEY=VALUE, or global.KEY=VALUE for all charts' },
  filename: {
    type: 'string',
    short: 'f',
    multiple: true,
    about: 'values by chart: base, istiod, cni, ztunnel, global',
    values: 'file',
  },
  manifests: {
    type: 'string',
    short: 'd',
    about: 'folder of the charts; default: those of this program',
    values: 'directory',
  },
  revision,
} as const;

export const installOptions = {
  ...connectionOptions,
  ...values,
  'readiness-timeout': { type: 'string', default: '5m', about: 'for each chart to be ready' },
  'dry-run': dryRun,
  'skip-confirmation': yes,
  force: { type: 'boolean', about: 'also where aquifer check --pre says no' },
  verify: { type: 'boolean', about: 'aquifer check afterwards' },
} as const satisfies Options;

export const uninstallOptions = {
  ...connectionOptions,
  revision,
  verbose: { type: 'boolean', short: 'v', about: 'also what helm is asked' },
  purge: { type: 'boolean', about: 'everything: node proxies, agents, every istiod' },
  'dry-run': dryRun,
  'skip-confirmation': yes,
} as const satisfies Options;

export const generateOptions = {
  ...connectionOptions,
  ...values,
  output: { type: 'string', short: 'o', about: 'file that it is written to; default: stdout', values: 'file' },
} as const satisfies Options;
