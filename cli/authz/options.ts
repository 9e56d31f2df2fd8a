/** Options of `aquifer x authz check`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  file: { type: 'string', short: 'f', about: "a proxy's config_dump in place of asking it", values: 'file' },
  'proxy-admin-port': { type: 'string', default: '15000', about: "of the proxy's admin page" },
} as const satisfies Options;
