import { connectionOptions } from '../connection-options.ts';
import type { Options, Verb } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  client: { type: 'boolean', about: 'of this program alone; no cluster is asked' },
  remote: { type: 'boolean', default: true, about: 'also of istiods and proxies; --remote=false as --client' },
  short: { type: 'boolean', short: 's', default: true, about: '--short=false says all that is known' },
  revision: { type: 'string', short: 'r', about: 'of istiods of this revision alone' },
  output: { type: 'string', short: 'o', about: 'format', values: ['json', 'yaml'] },
} as const satisfies Options;

export const verb: Verb = {
  summary: 'versions of this program, of istiods and of proxies',
  options,
  notes: "Exit code 1: an istiod does not answer; the client's version is told before.",
  load: () => import('./run.ts'),
};
