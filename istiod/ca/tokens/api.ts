/** Tokens as the API server sees them (TokenReview), which also knows those of pods that are gone. One request for each token. */
import { describeError, MeshError } from '../../../common/core/errors.ts';
import type { KubeSource } from '../../../common/kube/types.ts';
import { Unauthenticated } from '../../caller.ts';
import { reviewToken } from '../../reviews.ts';
import { ReviewUnavailable, type TokenReviewer } from './reviewer.ts';

export function createApiReviewer(source: Pick<KubeSource, 'create'>, audiences: readonly string[]): TokenReviewer {
  return {
    async review(token) {
      const status = await reviewToken(source, token, audiences).catch((e: unknown) => {
        const text = `the API server cannot review a token: ${describeError(e)}`;
        throw e instanceof MeshError && e.code === 'API_UNAVAILABLE'
          ? new ReviewUnavailable(text)
          : new Unauthenticated(text);
      });
      if (status.authenticated !== true) throw new Unauthenticated(`token refused: ${status.error ?? 'unknown'}`);
      if (!audiences.some((a) => status.audiences?.includes(a)))
        throw new Unauthenticated(`the API server does not say that the token is for ${audiences.join(' or ')}`);
      const { username = '', extra = {} } = status.user ?? {};
      const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username) ?? [];
      if (namespace === undefined || serviceAccount === undefined)
        throw new Unauthenticated(`token is of ${username}, which is no service account`);
      const [name] = extra['authentication.kubernetes.io/pod-name'] ?? [];
      const [uid] = extra['authentication.kubernetes.io/pod-uid'] ?? [];
      if (name === undefined || uid === undefined) throw new Unauthenticated('token is not bound to a pod');
      return { namespace, serviceAccount, pod: { name, uid } };
    },
  };
}
