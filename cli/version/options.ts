/** Options of `aquifer version`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  client: { type: 'boolean', about: 'of this program alone; no cluster is asked' },
  remote: { type: 'boolean', default: true, about: 'also of istiods and proxies; --remote=false as --client' },
  short: { type: 'boolean', short: 's', default: true, about: '--short=false says all that is known' },
  revision: { type: 'string', short: 'r', about: 'of istiods of this revision alone' },
  output: { type: 'string', short: 'o', about: 'format', values: ['json', 'yaml'] },
} as const satisfies Options;
