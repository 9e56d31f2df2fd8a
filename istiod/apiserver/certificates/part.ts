/** Certificates for users and kubelets from the server's own CA: asked for, approved, signed. */
import { describeError } from '../../../common/core/errors.ts';
import type { Kind } from '../../../common/kube/types.ts';
import { Feeds } from '../controllers/runtime/feed.ts';
import type { PartMaker } from '../part.ts';
import { group, resourceName, signingRequests, statusOf } from './admission.ts';
import { approvalEndpoint } from './approval.ts';
import { isOurs, type SigningSpec } from './requests.ts';

const kind: Kind = {
  group,
  version: 'v1',
  kind: 'CertificateSigningRequest',
  plural: resourceName,
  namespaced: false,
};

export const certificatesPart: PartMaker = ({ rest, source, clock, log: logFor, authorizer, certificateAuthority }) => {
  const log = logFor('certificates');
  const issue = async (name: string): Promise<void> => {
    const found = await source.get(kind, { name });
    if (found === undefined) return;
    const object = found as unknown as Parameters<typeof statusOf>[0];
    const { conditions = [], certificate } = statusOf(object);
    const spec = found['spec'] as SigningSpec;
    const has = (type: string) => conditions.some((c) => c.type === type);
    if (certificate !== undefined || !has('Approved') || has('Denied') || has('Failed') || !isOurs(spec.signerName))
      return;
    const { refusalOf, signRequest } = await import('./signers.ts');
    const reason = refusalOf(spec);
    const status =
      reason === undefined
        ? {
            certificate: Buffer.from(await signRequest(await certificateAuthority.issuer(), spec, clock)).toString(
              'base64',
            ),
          }
        : {
            conditions: [
              ...conditions,
              { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message: reason },
            ],
          };
    const { resourceVersion } = found.metadata;
    await source.patch(kind, { name }, { status }, { subresource: 'status', resourceVersion });
    log.info('a signing request was answered', { name, signer: spec.signerName, refused: reason ?? '' });
  };
  return {
    admission: [signingRequests(authorizer)],
    endpoints: [approvalEndpoint(rest)],
    async start(signal) {
      const feeds = new Feeds(rest.store);
      signal.addEventListener('abort', () => feeds.close(), { once: true });
      let turn = Promise.resolve();
      feeds.read(`${resourceName}.${group}`, ({ key, deleted }) => {
        if (deleted) return;
        turn = turn
          .then(() => (signal.aborted ? undefined : issue(key.name)))
          // Who came between changed the request, which comes here again.
          .catch((e: unknown) =>
            log.warn('a signing request was not answered', { name: key.name, error: describeError(e) }),
          );
      });
    },
  };
};
