import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

export const verb: Verb = {
  summary: 'steps from an Istio that is installed to this mesh, and whether each is done',
  options,
  notes: `Reads what is there: parts and their versions, values of Helm's releases, MeshConfig, namespaces with sidecars, and all objects of the
mesh. Prints what does not come along, and steps with their commands; nothing is changed. The plan may be made again at any time:
what is done is seen by what is there.

  aquifer migrate; aquifer migrate --step istiod; aquifer migrate --check namespace/shop

Exit code 1: the step of --check is not done, or there is no mesh.`,
  load: () => import('./run.ts'),
};
