/** Options of every command that talks to a cluster, as istioctl's. */
import type { Options } from './grammar.ts';

/** Which API server, and as whom. */
export const accessOptions = {
  kubeconfig: {
    type: 'string',
    short: 'c',
    about: 'the cluster; default KUBECONFIG, ~/.kube/config, or that of this pod',
    values: 'file',
  },
  context: { type: 'string', about: 'of the kubeconfig; default: its current one' },
  'kubeclient-timeout': { type: 'string', default: '15s', about: 'that an answer of the API server may take' },
  as: {
    type: 'string',
    about: 'user that the API server is asked to act as; a service account as system:serviceaccount:NAMESPACE:NAME',
  },
  'as-group': { type: 'string', multiple: true, about: 'group of that user; may be given several times' },
  'as-uid': { type: 'string', about: 'UID of that user' },
} as const satisfies Options;

export const connectionOptions = {
  ...accessOptions,
  namespace: { type: 'string', short: 'n', about: "default: the context's", values: 'namespace' },
  istioNamespace: {
    type: 'string',
    short: 'i',
    default: 'istio-system',
    about: 'where the mesh is installed',
    values: 'namespace',
  },
} as const satisfies Options;

/** What those come to. */
export interface AccessValues {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly 'kubeclient-timeout'?: string;
  readonly as?: string | undefined;
  readonly 'as-group'?: readonly string[] | undefined;
  readonly 'as-uid'?: string | undefined;
}

export interface ConnectionValues extends AccessValues {
  readonly namespace?: string | undefined;
  readonly istioNamespace: string;
}

const valued = new Set(
  Object.entries(connectionOptions).flatMap(([name, option]) => [
    `--${name}`,
    ...('short' in option ? [`-${option.short}`] : []),
  ]),
);

/** Whether the word after this option is its value, of those that may stand before a verb. */
export function takesValue(option: string): boolean {
  return valued.has(option);
}
