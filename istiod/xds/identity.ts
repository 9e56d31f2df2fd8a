/** Who a client of xDS is, by what it says of itself and what its token says (ambient-wire 3.8). */
import { status } from '@grpc/grpc-js';
import { type PbNode, type PbStruct, stringField } from '../../common/api/index.ts';
import type { Caller } from '../caller.ts';

export type Identity =
  | { readonly kind: 'refused'; readonly code: status; readonly reason: string }
  | {
      readonly kind: 'ztunnel' | 'waypoint' | 'client';
      readonly id: string;
      readonly namespace: string;
      /** Service account of its token; undefined where none is asked for. */
      readonly account: string | undefined;
      readonly pod: string;
      readonly metadata: PbStruct | null;
    };

/** First part of a node's id -> what it is to us. */
const kinds: Readonly<Record<string, 'ztunnel' | 'waypoint' | 'client'>> = {
  ztunnel: 'ztunnel',
  waypoint: 'waypoint',
  sidecar: 'client',
  router: 'client',
};

/** A node's id is `type~ip~pod.namespace~domain`. `caller` undefined: on a port that asks for no token. */
export function identify(node: PbNode | null, caller: Caller | undefined): Identity {
  const id = node?.id ?? '';
  const parts = id.split('~');
  const kind = parts.length === 4 && Object.hasOwn(kinds, parts[0]!) ? kinds[parts[0]!] : undefined;
  if (kind === undefined) {
    const shown = JSON.stringify(id.slice(0, 200));
    const reason = `node id ${shown} is none of a ztunnel, waypoint, sidecar or router`;
    return { kind: 'refused', code: status.INVALID_ARGUMENT, reason };
  }
  const metadata = node?.metadata ?? null;
  const namespace = stringField(metadata, 'NAMESPACE') ?? '';
  if (caller !== undefined) {
    const account = stringField(metadata, 'SERVICE_ACCOUNT') ?? '';
    if (namespace !== caller.namespace || (account !== '' && account !== caller.serviceAccount)) {
      const who = `${caller.namespace}/${caller.serviceAccount}`;
      return { kind: 'refused', code: status.PERMISSION_DENIED, reason: `node ${id} does not belong to ${who}` };
    }
  }
  const dot = parts[2]!.lastIndexOf('.');
  return {
    kind,
    id,
    namespace,
    account: caller?.serviceAccount,
    pod: dot < 0 ? parts[2]! : parts[2]!.slice(0, dot),
    metadata,
  };
}
