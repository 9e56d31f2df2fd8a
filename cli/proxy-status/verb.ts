import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

export const verb: Verb = {
  summary: 'what istiods sent to each proxy, and what it has confirmed',
  aliases: ['ps'],
  operands: '[[TYPE/]NAME[.NAMESPACE]]',
  offers: 'pod',
  options,
  notes: `With a pod: whether it has what its istiod sent, by names of resources, for each type.

Exit code 1: an istiod does not answer, or the pod has not what was sent.`,
  load: () => import('./run.ts'),
};
