import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

export const verb: Verb = {
  summary: 'collect what somebody else needs to find a fault, without secrets',
  options,
  notes: `Writes bug-report.tar.gz: objects, logs of the mesh's pods and of waypoints, what istiods and proxies know, what aquifer check and
analyze say. --include and --exclude are NS/DEPLOYMENT/POD/LABEL=VALUE/ANNOTATION=VALUE/CONTAINER, each part a list with commas
and * for any characters, or empty. What cannot be had is named in errors.txt; an istiod that is dead keeps nothing else away. What Secrets hold,
private keys and tokens are left out everywhere, also of logs.`,
  load: () => import('./run.ts'),
};
