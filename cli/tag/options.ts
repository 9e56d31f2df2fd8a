/** Options of `aquifer tag`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

const revision = { type: 'string', short: 'r', about: 'whose istiod it points to' } as const;
const overwrite = { type: 'boolean', about: 'also where the tag is there, or a revision has its name' } as const;
const yes = { type: 'boolean', short: 'y', about: 'asks nothing' } as const;

export const setOptions = {
  ...connectionOptions,
  revision,
  overwrite,
  'skip-confirmation': yes,
} as const satisfies Options;
export const removeOptions = { ...connectionOptions, 'skip-confirmation': yes } as const satisfies Options;
export const listOptions = {
  ...connectionOptions,
  output: { type: 'string', short: 'o', default: 'table', about: 'format', values: ['table', 'json', 'yaml'] },
} as const satisfies Options;
