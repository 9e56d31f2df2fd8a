/** What the API server is asked about strangers: whose a token is (TokenReview), and what somebody may do (SubjectAccessReview). */
import { subjectAccessReviewKind, tokenReviewKind } from '../common/kube/schema/access.ts';
import type { Kind, KubeObject, KubeSource } from '../common/kube/types.ts';

type Source = Pick<KubeSource, 'create'>;

export interface UserInfo {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface TokenStatus {
  readonly authenticated?: boolean;
  readonly error?: string;
  readonly audiences?: readonly string[];
  readonly user?: UserInfo;
}

/** Without `audiences`: for the API server itself. MeshError. */
export async function reviewToken(source: Source, token: string, audiences?: readonly string[]): Promise<TokenStatus> {
  const { status = {} } = await source.create(tokenReviewKind as Kind<KubeObject & { readonly status?: TokenStatus }>, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    metadata: { name: '' },
    spec: { token, ...(audiences !== undefined && { audiences }) },
  });
  return status;
}

export interface ResourceAttributes {
  readonly verb: string;
  readonly group?: string;
  readonly resource: string;
  /** Absent: in all of them. */
  readonly namespace?: string;
}

export interface Subject extends Omit<UserInfo, 'username'> {
  readonly user: string;
}

/** MeshError where the API server does not say. */
export async function isAllowed(source: Source, subject: Subject, what: ResourceAttributes): Promise<boolean> {
  const { status } = await source.create(
    subjectAccessReviewKind as Kind<KubeObject & { readonly status?: { readonly allowed?: boolean } }>,
    {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: { name: '' },
      spec: { ...subject, resourceAttributes: what },
    },
  );
  return status?.allowed === true;
}
