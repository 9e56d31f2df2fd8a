import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

export const verb: Verb = {
  summary: 'versions of this program, of istiods and of proxies',
  options,
  notes: "Exit code 1: an istiod does not answer; the client's version is told before.",
  load: () => import('./run.ts'),
};
