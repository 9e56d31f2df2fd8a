/** Service accounts' tokens: made, verified, reviewed, and the public keys by which others verify them. */
import { join } from 'node:path';
import type { Authenticator } from '../authn/authenticator.ts';
import type { PathHandler } from '../discovery/paths.ts';
import type { PartMaker } from '../part.ts';
import { noSuchPath } from '../status.ts';
import { issuer } from './claims.ts';
import { podTokens } from './pod-tokens.ts';
import { secretTokens } from './secret-tokens.ts';
import { algorithm, loadOrCreateSigningKey } from './signing-key.ts';
import { tokenRequestEndpoints } from './token-request.ts';
import { tokenReviewEndpoints } from './token-review.ts';
import { createTokens } from './tokens.ts';

export const serviceAccountsPart: PartMaker = async (core) => {
  const { rest, clock, dataDir, authenticator, certificateAuthority } = core;
  const log = core.log('tokens');
  const key = await loadOrCreateSigningKey(join(dataDir, 'pki', 'service-accounts.pem'), log);
  const tokens = createTokens({ key, store: rest.store, clock, log });
  const own: Authenticator = {
    async authenticate({ token }) {
      const verdict = token === undefined ? undefined : await tokens.verify(token, [issuer]);
      if (verdict === undefined || verdict.kind === 'foreign') return { kind: 'none' };
      return verdict;
    },
  };
  return {
    authenticators: [own],
    admission: [podTokens(rest.store), secretTokens(rest.store, tokens, certificateAuthority.pem)],
    endpoints: [...tokenRequestEndpoints(core, tokens), ...tokenReviewEndpoints(authenticator, tokens)],
    paths: new Map([
      ['/openid/v1/jwks', document('application/jwk-set+json', () => ({ keys: [key.publicJwk] }))],
      [
        '/.well-known/openid-configuration',
        document('application/json', () => ({
          issuer,
          jwks_uri: `https://${core.address()}/openid/v1/jwks`,
          response_types_supported: ['id_token'],
          subject_types_supported: ['public'],
          id_token_signing_alg_values_supported: [algorithm],
        })),
      ],
    ]),
  };
};

function document(contentType: string, value: () => object): PathHandler {
  return async ({ info }) => {
    if (info.verb !== 'get' && info.verb !== 'head') throw noSuchPath();
    return { kind: 'text', code: 200, contentType, text: JSON.stringify(value()) };
  };
}
