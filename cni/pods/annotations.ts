/** Annotations by which the owner of a pod changes its capture (ambient-wire 9.1). */
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { CaptureWishes } from '../capture/types.ts';

const dnsCapture = 'ambient.istio.io/dns-capture';
const bypassInbound = 'ambient.istio.io/bypass-inbound-capture';
const virtualInterfaces = 'istio.io/reroute-virtual-interfaces';

/** As the kernel allows it (IFNAMSIZ), without what a rule's text would have to quote. */
const interfaceName = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,14}$/;

/** `warnings`: what was asked for and is not understood, for the log. The default takes its place. */
export function captureWishes({ metadata: { annotations = {} } }: Pod): {
  readonly wishes: CaptureWishes;
  readonly warnings: readonly string[];
} {
  const warnings: string[] = [];
  const flag = (name: string, byDefault: boolean, kept: string): boolean => {
    const value = annotations[name] ?? String(byDefault);
    if (value === 'true' || value === 'false') return value === 'true';
    warnings.push(`annotation ${name}: ${JSON.stringify(value)} is neither true nor false; ${kept}`);
    return byDefault;
  };
  const dns = flag(dnsCapture, true, 'DNS is captured');
  const bypass = flag(bypassInbound, false, 'inbound connections are captured');
  const names = (annotations[virtualInterfaces] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  for (const name of names.filter((n) => !interfaceName.test(n))) {
    warnings.push(
      `annotation ${virtualInterfaces}: ${JSON.stringify(name)} is no name of an interface; it is left out`,
    );
  }
  return {
    wishes: {
      dns,
      plaintext: bypass ? 'direct' : 'captured',
      virtualInterfaces: names.filter((n) => interfaceName.test(n)),
    },
    warnings,
  };
}
