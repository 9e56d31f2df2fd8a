/** Options of `aquifer filter test`. */
import type { Options } from '../grammar.ts';

export const filterTestOptions = {
  cases: { type: 'string', about: 'file with the cases; default FILE.cases.yaml', values: 'file' },
} as const satisfies Options;
