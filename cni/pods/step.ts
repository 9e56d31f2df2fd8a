/**
 * What to do next for one pod: a pure function of what is wanted and what stands, asked again after every step and every
 * event. So it does not matter where an earlier agent, a lost ztunnel or a label that flips back and forth left off.
 *
 *   entering:  find netns -> add (ZDS add, capture, ack) -> announce enabled -> idle
 *   leaving:   plain text to the app -> announce nothing -> grace -> withdraw capture -> ZDS del -> drain -> remove what is left
 *              of capture -> close netns -> idle
 *   gone:      ZDS del -> close netns -> forget; capture goes with its namespace (sweep)
 */
import type { Millis } from '../../common/core/brand.ts';

/** Value of the annotation `ambient.istio.io/redirection`; undefined when there is none. */
export type Redirection = 'enabled' | 'pending' | undefined;

export interface PodView {
  /** The object is there, under this UID. */
  readonly exists: boolean;
  readonly wanted: boolean;
  /** `lost`: held, but no process of the pod lives in it any more. */
  readonly netns: 'none' | 'held' | 'lost';
  /**
   * What eBPF or nftables do with its traffic. `leaving`: plain text from outside goes to the app, all else is captured.
   * `draining`: new connections go direct, open ones still need what stands in the netns.
   */
  readonly capture: 'none' | 'full' | 'leaving' | 'draining';
  /** `added`: the newest ztunnel has it. `maybe`: some ztunnel may have it. */
  readonly proxy: 'none' | 'maybe' | 'added';
  /** Whether a ztunnel is connected and has got its snapshot. */
  readonly ztunnelReady: boolean;
  readonly announced: Redirection;
  /** When capture may be withdrawn; undefined until the leaving has been announced. */
  readonly withdrawAt: Millis | undefined;
  /** When the proxy's open connections have ended; undefined until it was told to end them. */
  readonly drainedAt: Millis | undefined;
  /** The step that failed last, and when it may be tried again. */
  readonly retry: { readonly step: Step['kind']; readonly at: Millis } | undefined;
}

export type Step =
  | { readonly kind: 'find-netns' }
  | { readonly kind: 'add' }
  /** Where new connections in plain text go. */
  | { readonly kind: 'set-plaintext'; readonly to: 'captured' | 'direct' }
  | { readonly kind: 'announce'; readonly value: Redirection }
  | { readonly kind: 'withdraw' }
  | { readonly kind: 'del' }
  | { readonly kind: 'remove' }
  | { readonly kind: 'close-netns' }
  | { readonly kind: 'forget' }
  /** Nothing to do before an event, or before the time given. */
  | { readonly kind: 'idle'; readonly until?: Millis };

export function nextStep(pod: PodView, now: Millis): Step {
  const step = !pod.exists || pod.netns === 'lost' ? vanish(pod) : pod.wanted ? enter(pod, now) : leave(pod, now);
  return isDue(pod, step.kind, now) ? step : { kind: 'idle', until: pod.retry!.at };
}

function isDue(pod: PodView, step: Step['kind'], now: Millis): boolean {
  return pod.retry?.step !== step || now >= pod.retry.at;
}

function vanish(pod: PodView): Step {
  if (pod.proxy !== 'none') return { kind: 'del' };
  if (pod.netns !== 'none') return { kind: 'close-netns' };
  return { kind: 'forget' };
}

function enter(pod: PodView, now: Millis): Step {
  if (pod.netns === 'none') {
    // Announced without capture: what an earlier sandbox of this pod had, or its node before a reboot.
    if (pod.announced === 'enabled' && pod.capture === 'none') return { kind: 'announce', value: 'pending' };
    return { kind: 'find-netns' };
  }
  if (pod.capture === 'leaving') return { kind: 'set-plaintext', to: 'captured' };
  if (pod.proxy !== 'added' || pod.capture !== 'full') {
    if (pod.ztunnelReady && isDue(pod, 'add', now)) return { kind: 'add' };
    // A pod that is announced stays so while ztunnel restarts: its peers must not turn to plain text.
    if (pod.announced === undefined) return { kind: 'announce', value: 'pending' };
    return pod.ztunnelReady ? { kind: 'add' } : { kind: 'idle' };
  }
  return pod.announced === 'enabled' ? { kind: 'idle' } : { kind: 'announce', value: 'enabled' };
}

/**
 * The app takes plain text before any peer learns that it should send it: such a peer has no identity, and a policy that names
 * principals would refuse it.
 */
function leave(pod: PodView, now: Millis): Step {
  if (pod.capture === 'full' && pod.netns === 'held') return { kind: 'set-plaintext', to: 'direct' };
  if (pod.announced !== undefined) return { kind: 'announce', value: undefined };
  if (pod.capture === 'full' || (pod.capture !== 'none' && pod.netns === 'none')) return { kind: 'find-netns' };
  if (pod.capture === 'leaving') {
    if (pod.withdrawAt !== undefined && now < pod.withdrawAt) return { kind: 'idle', until: pod.withdrawAt };
    return { kind: 'withdraw' };
  }
  if (pod.proxy !== 'none') return { kind: 'del' };
  if (pod.netns === 'none') return { kind: 'idle' };
  if (pod.capture === 'none') return { kind: 'close-netns' };
  if (pod.drainedAt !== undefined && now < pod.drainedAt) return { kind: 'idle', until: pod.drainedAt };
  return { kind: 'remove' };
}
