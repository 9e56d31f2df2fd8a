/** Annotations by which the owner of a pod changes its capture (ambient-wire 9.1). */
import type { Pod } from '../../common/kube/kinds/core.ts';

const dnsCapture = 'ambient.istio.io/dns-capture';
const bypassInbound = 'ambient.istio.io/bypass-inbound-capture';

export interface CaptureWishes {
  /** Whether DNS is captured. Default true. */
  readonly dns: boolean;
  /** What was asked for and is not done, for the log. */
  readonly warnings: readonly string[];
}

export function captureWishes({ metadata: { annotations = {} } }: Pod): CaptureWishes {
  const warnings: string[] = [];
  const dns = annotations[dnsCapture] ?? 'true';
  if (dns !== 'true' && dns !== 'false') {
    warnings.push(`annotation ${dnsCapture}: ${JSON.stringify(dns)} is neither true nor false; DNS is captured`);
  }
  if ((annotations[bypassInbound] ?? 'false') !== 'false') {
    warnings.push(`annotation ${bypassInbound} is not honoured by this release: inbound connections are captured`);
  }
  return { dns: dns !== 'false', warnings };
}
