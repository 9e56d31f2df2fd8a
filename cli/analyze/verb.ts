import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

export const verb: Verb = {
  summary: 'find mistakes that only show between objects, of files and of a cluster',
  operands: '[FILE|DIRECTORY|-]...',
  offers: 'file',
  options,
  notes: `With files and a cluster the files count as if they were applied; those that name no namespace go into that of -n, or default.
-n alone tells of this namespace alone. Codes are those of Istio's analysis. An object can suppress for itself by the annotation
galley.istio.io/analyze-suppress: CODE,CODE or "*".

Exit code 0: nothing at the failure threshold. 79: something. 1: it could not be done. 64: the arguments are not understood.`,
  load: () => import('./command.ts'),
};
