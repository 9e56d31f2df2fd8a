/** Warns of fields that are served but have no effect, so that nobody relies on them. */
import type { Logger } from '../../common/core/log.ts';
import { createInformer, keyOf } from '../../common/kube/informer.ts';
import { type PeerAuthentication, peerAuthenticationKind } from '../../common/kube/kinds/security.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { hasSelector } from './peer-authentication.ts';

export function warnOfIgnored(source: KubeSource, log: Logger, signal: AbortSignal): void {
  const warn = (peer: PeerAuthentication) => {
    if (hasSelector(peer) || Object.keys(peer.spec?.portLevelMtls ?? {}).length === 0) return;
    log.warn(
      'portLevelMtls of a PeerAuthentication without selector has no effect; give it spec.selector.matchLabels',
      {
        object: keyOf(peer.metadata),
      },
    );
  };
  createInformer({ source, kind: peerAuthenticationKind, log, signal, handlers: { added: warn, modified: warn } });
}
