/** Warns of resources that are served but have no effect yet, so that nobody relies on them. */
import type { Logger } from '../../common/core/log.ts';
import { createInformer } from '../../common/kube/informer.ts';
import { type PeerAuthentication, peerAuthenticationKind } from '../../common/kube/kinds/security.ts';
import type { KubeSource } from '../../common/kube/types.ts';

export function warnOfIgnored(source: KubeSource, log: Logger, signal: AbortSignal): void {
  const warn = ({ metadata }: PeerAuthentication) =>
    log.warn('PeerAuthentication has no effect yet: plain text stays accepted; use an AuthorizationPolicy instead', {
      object: `${metadata.namespace}/${metadata.name}`,
    });
  createInformer({ source, kind: peerAuthenticationKind, log, signal, handlers: { added: warn, modified: warn } });
}
