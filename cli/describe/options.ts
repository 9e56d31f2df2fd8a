/** Options of `aquifer x describe`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  ignoreUnmeshed: { type: 'boolean', about: 'no warning for a pod that is not in the mesh' },
} as const satisfies Options;
