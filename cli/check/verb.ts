import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

export const verb: Verb = {
  summary: 'whether the mesh can be installed, and how an installed one does',
  options,
  notes: `One line a check: ok, warn or FAIL, and behind a failure what mends it. Of a cluster without the mesh what an installation needs;
of one with it also its parts, versions, certificates, proxies and pods. --node as root on a node tells why it cannot capture.

Exit code 0: nothing failed; warnings may be there. 1: something failed.`,
  load: () => import('./run.ts'),
};
