/**
 * How a part of the API server (controllers, custom resources, authentication of service accounts, exec) joins it. A part is
 * made from the core and tells what it adds; apiserver.ts has the list. Parts do not import each other.
 */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { AdmissionPlugin } from './admission/admission.ts';
import type { Authenticator } from './authn/authenticator.ts';
import type { Authorizer } from './authz/authorizer.ts';
import type { ClusterNetworks } from './config.ts';
import type { SubresourceInfo } from './discovery/groups.ts';
import type { PathHandler } from './discovery/paths.ts';
import type { CertificateAuthority } from './pki/credentials.ts';
import type { Registry } from './resources/registry.ts';
import type { GroupResource, Resource } from './resources/resource.ts';
import type { Endpoint } from './rest/endpoints.ts';
import type { Rest } from './rest/rest.ts';

export interface Core {
  readonly registry: Registry;
  readonly rest: Rest;
  /** The objects as controllers see and write them, as user `system:apiserver`: admission and validation apply, authorization does not. */
  readonly source: KubeSource;
  readonly clock: Clock;
  /** Every part's authenticators and authorizers together; usable when all parts are made. */
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  /** The server's own CA, which signs its serving certificate and those of users. */
  readonly certificateAuthority: CertificateAuthority;
  /** `10.0.0.1:6443`, as clients reach the server; empty before it listens. */
  readonly address: () => string;
  /** A part's own log: `apiserver::<target>`. */
  readonly log: (target: string) => Logger;
  /** What the server serves with, and shows to others: key and certificate, both PEM. */
  readonly credentials: { readonly key: string; readonly certificate: string };
  /** Absolute; a part keeps what must survive a restart, and is no object, in a folder of its own in it. */
  readonly dataDir: string;
  readonly networks: ClusterNetworks;
}

export interface Part {
  readonly authenticators?: readonly Authenticator[];
  readonly authorizers?: readonly Authorizer[];
  /** In the order of parts, after those of earlier parts. */
  readonly admission?: readonly AdmissionPlugin[];
  readonly endpoints?: readonly SpecialEndpoint[];
  /** Path without trailing slash (`/openid/v1/jwks`) -> what answers it. */
  readonly paths?: ReadonlyMap<string, PathHandler>;
  /** Resolves when the part's work has begun; the server is ready when all have. Work ends with the signal. */
  readonly start?: (signal: AbortSignal) => Promise<void>;
}

/** Takes a resource's subresource, or with an empty one the resource itself, out of the usual ways. */
export interface SpecialEndpoint {
  /** Of each resource for which this is true. */
  readonly of: GroupResource | 'all';
  /** Empty: the resource itself. */
  readonly subresource: string;
  /** What discovery says; undefined where the resource does not have it. For an empty subresource it is not asked. */
  readonly describe: (resource: Resource) => SubresourceInfo | undefined;
  readonly handle: Endpoint;
}

/** A rejection stops the start. */
export type PartMaker = (core: Core) => Part | Promise<Part>;
