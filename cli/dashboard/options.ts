/** Options of `aquifer dashboard`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  selector: { type: 'string', short: 'l', about: 'of the pod, NAME=VALUE,..., in place of its name' },
  revision: { type: 'string', short: 'r', about: 'of the istiod' },
  'ui-port': { type: 'string', about: 'of the pod; default: that of the page' },
  address: { type: 'string', default: 'localhost', about: 'of this machine, where it listens' },
  port: { type: 'string', short: 'p', default: '0', about: 'of this machine; 0: any' },
  browser: { type: 'boolean', default: true, about: '--browser=false opens none' },
} as const satisfies Options;
