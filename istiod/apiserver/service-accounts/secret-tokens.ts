/**
 * Secrets of type kubernetes.io/service-account-token: tokens without an end, for clients that cannot ask for new ones. The
 * token is there when the Secret is, and the service account owns the Secret, so that it goes with it.
 */
import type { AdmissionPlugin } from '../admission/admission.ts';
import { type ApiObject, fromJson } from '../objects.ts';
import { generateName } from '../rest/lifecycle.ts';
import { type Cause, invalid } from '../status.ts';
import type { Store } from '../storage/types.ts';
import { secretPayload } from './claims.ts';
import type { Tokens } from './tokens.ts';

const type = 'kubernetes.io/service-account-token';
const nameAnnotation = 'kubernetes.io/service-account.name';
const uidAnnotation = 'kubernetes.io/service-account.uid';

/** `certificateAuthority`: PEM. */
export function secretTokens(store: Store, tokens: Tokens, certificateAuthority: string): AdmissionPlugin {
  return {
    name: 'ServiceAccountTokenSecrets',
    async mutate({ resource, subresource, operation, object, namespace }) {
      if (resource.group !== '' || resource.resource !== 'secrets' || subresource !== '' || object?.['type'] !== type)
        return;
      if (operation !== 'CREATE' && operation !== 'UPDATE') return;
      const { metadata } = object;
      const accountName = metadata.annotations?.[nameAnnotation] ?? '';
      if (accountName === '') throw refusal(object, 'FieldValueRequired', 'Required value');
      const stored = store.get({ resource: 'serviceaccounts.core', namespace, name: accountName });
      if (stored === undefined) {
        // While both are deleted, the Secret's finalizers must still go.
        if (operation === 'UPDATE') return;
        throw refusal(object, 'FieldValueNotFound', `Not found: ${JSON.stringify(accountName)}`);
      }
      const account = fromJson(stored.json);
      const uid = account.metadata.uid ?? '';
      const data = (object['data'] ?? {}) as Record<string, string>;
      // The token names the Secret.
      if ((metadata.name ?? '') === '') metadata.name = generateName(metadata.generateName ?? '');
      const valid =
        data['token'] !== undefined && metadata.annotations?.[uidAnnotation] === uid && operation === 'UPDATE';
      if (!valid) {
        const token = await tokens.sign(secretPayload(namespace, { name: accountName, uid }, metadata.name ?? ''));
        data['token'] = base64(token);
      }
      data['ca.crt'] = base64(certificateAuthority);
      data['namespace'] = base64(namespace);
      object['data'] = data;
      metadata.annotations = { ...metadata.annotations, [uidAnnotation]: uid };
      const owner = { apiVersion: 'v1', kind: 'ServiceAccount', name: accountName, uid };
      metadata.ownerReferences = [...(metadata.ownerReferences ?? []).filter((o) => o.uid !== uid), owner];
    },
  };
}

function refusal({ metadata }: ApiObject, reason: Cause['reason'], message: string) {
  return invalid('', 'Secret', metadata.name ?? '', [
    { reason, field: `metadata.annotations[${nameAnnotation}]`, message },
  ]);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
