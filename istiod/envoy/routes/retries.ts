/** Retries: what a VirtualService asks for, and what holds where nothing does. */
import type { VirtualService } from '../../../common/kube/kinds/istio/virtual-service.ts';
import type { RetryPolicy } from './envoy.ts';
import { durationOf } from './values.ts';

export type Retries = NonNullable<NonNullable<VirtualService['spec']['http']>[number]['retries']>;

const attempts = 2;
const causes = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes';
/** Looks at other endpoints before it takes one that failed already. */
const lookAround = 5;
const previousHosts = {
  name: 'envoy.retry_host_predicates.previous_hosts',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
  },
} as const;
/** Every second try in localities that were not tried. */
const previousPriorities = {
  name: 'envoy.retry_priorities.previous_priorities',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig',
    update_frequency: 2,
  },
} as const;

/**
 * undefined: never. Without `retries` two, of requests that did no harm. `hashed`: endpoints are chosen by a hash, and a retry stays with
 * its own.
 */
export function retryPolicy(retries: Retries | undefined, hashed: boolean): RetryPolicy | undefined {
  const given = retries ?? {};
  if (retries !== undefined && (retries.attempts ?? 0) <= 0) return undefined;
  const { retryOn = '', perTryTimeout, retryIgnorePreviousHosts, retryRemoteLocalities, backoff } = given;
  const [conditions, codes] = read(retryOn);
  const retry_on =
    retryOn === ''
      ? causes
      : [
          ...conditions,
          ...(codes.length > 0 && !conditions.includes('retriable-status-codes') ? ['retriable-status-codes'] : []),
        ].join();
  const timeout = durationOf(perTryTimeout);
  const base = durationOf(backoff);
  const elsewhere = retryIgnorePreviousHosts ?? !hashed;
  return {
    retry_on,
    num_retries: { value: given.attempts ?? attempts },
    ...(timeout === undefined ? {} : { per_try_timeout: timeout }),
    ...(codes.length === 0 ? {} : { retriable_status_codes: codes }),
    ...(base === undefined ? {} : { retry_back_off: { base_interval: base } }),
    ...(elsewhere ? { retry_host_predicate: [previousHosts] } : {}),
    ...(retryRemoteLocalities === true ? { retry_priority: previousPriorities } : {}),
    host_selection_retry_max_attempts: lookAround,
  };
}

/** Conditions, and status codes among them. */
function read(text: string): readonly [readonly string[], readonly number[]] {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const isCode = (part: string) => /^[1-5]\d\d$/.test(part);
  return [parts.filter((part) => !isCode(part)), parts.filter(isCode).map(Number)];
}
