/** Options of `aquifer check`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  pre: { type: 'boolean', about: 'only what an installation needs, whether or not there is one' },
  node: { type: 'boolean', about: 'this machine, as a node of the mesh; no cluster is asked' },
  output: { type: 'string', short: 'o', default: 'text', about: 'format', values: ['text', 'json'] },
} as const satisfies Options;
