/** Who is at the other end of a call on the TLS port: a bearer token, or a client certificate of our own CA. */
import type { Metadata, ServerUnaryCall } from '@grpc/grpc-js';
import type { Clock } from '../common/core/clock.ts';
import { parseSpiffe } from '../common/identity/spiffe.ts';
import type { TokenReviewer } from './ca/tokens/reviewer.ts';
import { type Caller, Unauthenticated } from './caller.ts';

export interface AuthenticatorOptions {
  readonly reviewer: TokenReviewer;
  readonly clusterId: string;
  /** Other name of a cluster -> its name. */
  readonly clusterAliases: ReadonlyMap<string, string>;
  readonly trustDomain: string;
  readonly clock: Pick<Clock, 'wall'>;
}

/** grpc-js does not export this type by name. */
type AuthContext = ReturnType<ServerUnaryCall<unknown, unknown>['getAuthContext']>;

/** Rejects with Unauthenticated. */
export type Authenticator = (metadata: Metadata, peer: AuthContext) => Promise<Caller>;

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { reviewer, clusterId, clusterAliases, trustDomain, clock } = options;
  return async (metadata, peer) => {
    const named = single(metadata, 'clusterid');
    const cluster = named && (clusterAliases.get(named) ?? named);
    if (cluster !== undefined && cluster !== '' && cluster !== clusterId) {
      throw new Unauthenticated(`cluster "${cluster}" is not known here; this is "${clusterId}"`);
    }
    const header = single(metadata, 'authorization');
    if (header !== undefined) {
      const token = /^Bearer +(\S+)$/i.exec(header)?.[1];
      if (token === undefined) throw new Unauthenticated('authorization header is no bearer token');
      return reviewer.review(token);
    }
    // grpc-js hands out only certificates that chain to our root.
    const names = peer.sslPeerCertificate?.subjectaltname;
    if (names === undefined) throw new Unauthenticated('neither a token nor a client certificate was presented');
    // A connection outlives what was shown at its begin.
    const end = Date.parse(peer.sslPeerCertificate?.valid_to ?? '');
    if (!(end > clock.wall())) throw new Unauthenticated('the client certificate has ended');
    return fromCertificate(names, trustDomain);
  };
}

/** Node quotes names that hold a comma, so a SPIFFE id is always a part of its own. */
function fromCertificate(names: string, trustDomain: string): Caller {
  const ids = names.split(', ').flatMap((n) => (n.startsWith('URI:') ? (parseSpiffe(n.slice(4)) ?? []) : []));
  const [id] = ids;
  if (id === undefined) throw new Unauthenticated('the client certificate has no SPIFFE id');
  if (id.trustDomain !== trustDomain) throw new Unauthenticated(`trust domain ${id.trustDomain} is not ${trustDomain}`);
  return { namespace: id.namespace, serviceAccount: id.serviceAccount };
}

/** Two values of one header could be read differently by two readers. */
function single(metadata: Metadata, name: string): string | undefined {
  const values = metadata.get(name);
  if (values.length > 1) throw new Unauthenticated(`header ${name} is given more than once`);
  return values[0]?.toString();
}
