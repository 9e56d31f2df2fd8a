/** Options of `aquifer experimental internal-debug`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  list: { type: 'boolean', about: 'names of pages' },
  revision: { type: 'string', short: 'r', about: 'of istiods of this revision alone' },
} as const satisfies Options;
