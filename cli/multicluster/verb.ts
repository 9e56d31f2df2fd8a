import type { Verb } from '../grammar.ts';
import { clustersOptions, secretOptions } from './options.ts';

export const remoteClusters: Verb = {
  summary: 'other clusters whose endpoints istiods read',
  options: clustersOptions,
  notes: 'STATUS is synced, syncing or error; why one is in error is said beside the table.',
  load: async () => {
    const { runClusters } = await import('./run.ts');
    return { run: runClusters };
  },
};

export const createRemoteSecret: Verb = {
  summary: "print a Secret by which another cluster's istiod reads this one",
  options: secretOptions,
  notes: `The account comes with chart base. The token in the Secret holds until its own Secret is deleted here.

  aquifer --kubeconfig east.yaml create-remote-secret --name east | kubectl --kubeconfig west.yaml apply -f -

An istiod follows it where AMBIENT_ENABLE_MULTI_NETWORK is true.`,
  load: async () => {
    const { runSecret } = await import('./run.ts');
    return { run: runSecret };
  },
};
