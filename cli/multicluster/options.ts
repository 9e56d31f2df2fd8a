/** Options of `aquifer remote-clusters` and `aquifer create-remote-secret`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const clustersOptions = {
  ...connectionOptions,
  revision: { type: 'string', short: 'r', about: 'of istiods of this revision alone' },
  output: { type: 'string', short: 'o', default: 'table', about: 'format', values: ['table', 'json', 'yaml'] },
} as const satisfies Options;

export const secretOptions = {
  ...connectionOptions,
  name: {
    type: 'string',
    about: "the cluster's id, its istiod's CLUSTER_ID; default: the uid of namespace kube-system",
  },
  server: { type: 'string', about: "the API server's URL as other clusters reach it; default: the kubeconfig's" },
  'tls-server-name': { type: 'string', about: 'the name that its certificate has, where it is another one' },
  'service-account': {
    type: 'string',
    default: 'istio-reader-service-account',
    about: 'who reads, in the namespace of istiod',
  },
  'secret-name': { type: 'string', about: 'a Secret with its token; default: the first one of it, or one is made' },
} as const satisfies Options;
