/** One line for each certificate that was issued or refused (target istiod::ca::audit): who asked, for what, from where, and why not. */
import type { X509Certificate } from 'node:crypto';
import type { Logger } from '../../common/core/log.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { Identity } from '../../common/mesh/types.ts';
import type { Caller } from '../caller.ts';

/** What is known of a request when it ends; later fields are absent where it ended early. */
export interface Asked {
  readonly peer: string;
  caller?: Caller;
  /** Of the caller's pod. */
  node?: string | undefined;
  /** As it was asked for, which may be anything. */
  impersonated?: string | undefined;
  identity?: Identity;
}

/** Characters of what a stranger sent. */
const longest = 300;

export function auditIssued(log: Logger, asked: Asked, leaf: X509Certificate): void {
  log.info('certificate issued', {
    ...fieldsOf(asked),
    identity: asked.identity === undefined ? undefined : formatSpiffe(asked.identity),
    serial: leaf.serialNumber.toLowerCase(),
    not_after: leaf.validToDate.toISOString(),
  });
}

export function auditRefused(log: Logger, asked: Asked, reason: string): void {
  log.warn('certificate refused', {
    ...fieldsOf(asked),
    identity: asked.impersonated?.slice(0, longest),
    reason: reason.slice(0, longest * 2),
  });
}

export function auditFailed(log: Logger, asked: Asked, error: string): void {
  log.error('certificate not signed', { ...fieldsOf(asked), error });
}

function fieldsOf({ peer, caller, node }: Asked) {
  return {
    peer,
    caller: caller === undefined ? undefined : `${caller.namespace}/${caller.serviceAccount}`,
    pod: caller?.pod?.name,
    node,
  };
}
