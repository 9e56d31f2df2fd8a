/** Options of `aquifer x precheck`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  output: { type: 'string', short: 'o', default: 'log', about: 'format', values: ['log', 'json', 'yaml'] },
  'output-threshold': {
    type: 'string',
    default: 'Warning',
    about: 'what is told',
    values: ['Info', 'Warning', 'Error'],
  },
  'skip-controlplane': { type: 'boolean', about: 'only the nodes and what is in the way' },
} as const satisfies Options;
