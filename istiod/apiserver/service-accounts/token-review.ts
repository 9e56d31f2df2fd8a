/** TokenReview (authentication.k8s.io/v1): other servers ask whose token they were shown. */
import type { Authentication, Authenticator } from '../authn/authenticator.ts';
import { userInfo } from '../authn/user-info.ts';
import type { Part } from '../part.ts';
import { readReview } from '../rest/review.ts';
import { badRequest } from '../status.ts';
import { issuer } from './claims.ts';
import type { Tokens, TokenVerdict } from './tokens.ts';

interface Spec {
  readonly token?: string;
  readonly audiences?: readonly string[];
}

/** `all`: those who know the tokens that are no service account's; they are good for the API server alone. */
export function tokenReviewEndpoints(all: Authenticator, tokens: Tokens): NonNullable<Part['endpoints']> {
  return [
    {
      of: { group: 'authentication.k8s.io', resource: 'tokenreviews' },
      subresource: '',
      describe: () => undefined,
      async handle(request, resource) {
        const review = await readReview(request, resource);
        const { token = '', audiences: asked = [] } = review['spec'] as Spec;
        if (token === '') throw badRequest('token is required for TokenReview in authentication');
        const audiences = asked.length === 0 ? [issuer] : asked;
        const verdict = await tokens.verify(token, audiences);
        const answer = verdict.kind === 'foreign' ? await askOthers(all, token, audiences) : verdict;
        return { kind: 'value', code: 201, value: { ...review, status: statusOf(answer, asked) } };
      },
    },
  ];
}

async function askOthers(all: Authenticator, token: string, audiences: readonly string[]): Promise<TokenVerdict> {
  const found: Authentication = await all.authenticate({ token, certificate: undefined });
  if (found.kind === 'refused') return found;
  if (found.kind === 'none') return { kind: 'foreign' };
  if (!audiences.includes(issuer))
    return { kind: 'refused', reason: `the token is for ${issuer}, which is none of ${JSON.stringify(audiences)}` };
  return { kind: 'user', user: found.user, audiences: [issuer] };
}

function statusOf(answer: TokenVerdict, asked: readonly string[]): object {
  if (answer.kind === 'foreign') return { user: {}, error: 'invalid bearer token' };
  if (answer.kind === 'refused') return { user: {}, error: `[invalid bearer token, ${answer.reason}]` };
  const audiences = asked.length === 0 ? [issuer] : answer.audiences;
  return { authenticated: true, user: userInfo(answer.user), audiences };
}
