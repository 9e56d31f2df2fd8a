/** What capture must know of a pod, from its object. */
import { type Ip, parseIp } from '../../common/core/net.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { CapturedPod, CaptureWishes } from '../capture/types.ts';
import { captureWishes } from './annotations.ts';

type InKernel = Pick<CapturedPod, 'netns' | 'cookie' | 'ips'>;

export function capturedPod(pod: Pod, inKernel: InKernel): CapturedPod {
  return { uid: pod.metadata.uid, ...inKernel, wishes: captureWishes(pod).wishes };
}

/** Its callers come in plain text and without an identity, which is let through to the app. */
export function leavingPod(pod: Pod, inKernel: InKernel): CapturedPod {
  const captured = capturedPod(pod, inKernel);
  const wishes: CaptureWishes = { ...captured.wishes, plaintext: 'direct' };
  return { ...captured, wishes };
}

export function ipsOf(pod: Pod): readonly Ip[] {
  const { podIPs, podIP } = pod.status ?? {};
  const texts = podIPs?.map((p) => p.ip) ?? (podIP === undefined ? [] : [podIP]);
  return texts.map(parseIp).filter((ip) => ip !== undefined);
}
