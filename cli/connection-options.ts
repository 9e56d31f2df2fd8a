/** Options of every command that talks to a cluster, as istioctl's. */
import type { Options } from './grammar.ts';

export const connectionOptions = {
  kubeconfig: {
    type: 'string',
    short: 'c',
    about: 'the cluster; default KUBECONFIG, ~/.kube/config, or that of this pod',
    values: 'file',
  },
  context: { type: 'string', about: 'of the kubeconfig; default: its current one' },
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
export interface ConnectionValues {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
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
