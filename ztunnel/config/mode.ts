/** Whose traffic the proxy carries: that of the pods a node agent names, or of the one workload it lives with (ambient-wire 6.5). */
import type { SettingsReader } from '../../common/config/reader.ts';
import type { WorkloadInfo } from '../../common/zds/types.ts';

export type ProxyMode =
  | {
      readonly kind: 'shared';
      /** Socket of the node agent. */
      readonly zdsPath: string;
    }
  | {
      /** A virtual machine or a single pod: listeners in the network namespace of this process. */
      readonly kind: 'dedicated';
      readonly workload: WorkloadInfo;
    };

export function parseMode(r: SettingsReader): ProxyMode {
  const zdsPath = r.text('INPOD_UDS') ?? '/var/run/ztunnel/ztunnel.sock';
  // What only the other mode reads is left alone: start lines of Istio's proxy carry it.
  if (r.choice('PROXY_MODE', ['shared', 'dedicated']) !== 'dedicated') return { kind: 'shared', zdsPath };
  const workload = r.parsed('PROXY_WORKLOAD_INFO', parseWorkloadInfo, 'namespace/name/service-account');
  if (!workload && r.text('PROXY_WORKLOAD_INFO') === undefined) {
    r.mistake(
      'PROXY_WORKLOAD_INFO is not set: PROXY_MODE=dedicated needs namespace/name/service-account of its workload',
    );
  }
  return { kind: 'dedicated', workload: workload ?? { namespace: '', name: '', serviceAccount: '' } };
}

function parseWorkloadInfo(text: string): WorkloadInfo | undefined {
  const m = /^([^/]+)\/([^/]+)\/([^/]+)$/.exec(text);
  return m ? { namespace: m[1]!, name: m[2]!, serviceAccount: m[3]! } : undefined;
}
