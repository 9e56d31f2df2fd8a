/** envoy.extensions.transport_sockets.tls.v3.Secret. */
import type { Fields } from '../../common/envoy/fields.ts';
import { emptyValidation, readPair, readValidation } from '../cluster/tls/compile.ts';
import type { FileSecret } from '../tls/file-secrets.ts';
import type { Secret } from '../tls/secrets.ts';

export function readSecret(fields: Fields): { readonly name: string; readonly secret: Secret } {
  const name = fields.text('name');
  const which = fields.which('tls_certificate', 'validation_context', 'session_ticket_keys', 'generic_secret');
  switch (which) {
    case 'tls_certificate':
      return { name, secret: { kind: 'certificate', pair: fields.required(which, readPair) } };
    case 'validation_context':
      return { name, secret: { kind: 'validation', validation: fields.required(which, readValidation) } };
    case undefined:
      throw fields.refusal('type', 'is neither tls_certificate nor validation_context');
    default:
      throw fields.unsupported(which);
  }
}

export function fromFile(secret: FileSecret): Secret {
  const inline = (bytes: Buffer) => ({ kind: 'inline' as const, bytes });
  return secret.kind === 'roots'
    ? { kind: 'validation', validation: { ...emptyValidation, trustedCa: inline(secret.pem) } }
    : { kind: 'certificate', pair: { chain: inline(secret.chain), key: inline(secret.key) } };
}
