/** Options of `aquifer proxy-status`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  revision: { type: 'string', short: 'r', about: 'of istiods of this revision alone' },
  verbosity: { type: 'string', short: 'v', default: '0', about: '1 shows each type with its status' },
  'proxy-admin-port': { type: 'string', default: '15000', about: 'of the proxy that is compared with its istiod' },
  file: { type: 'string', about: 'what the proxy has, from a file in place of its admin page', values: 'file' },
  output: { type: 'string', short: 'o', default: 'table', about: 'format', values: ['table', 'json', 'yaml'] },
} as const satisfies Options;
