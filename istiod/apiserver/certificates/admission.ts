/** Who may ask for certificates, approve and sign them, and what a request may be. */
import { isDeepStrictEqual } from 'node:util';
import type { AdmissionPlugin, AdmissionRequest } from '../admission/admission.ts';
import type { Authorizer } from '../authz/authorizer.ts';
import type { ApiObject } from '../objects.ts';
import { type Cause, forbidden, invalid } from '../status.ts';
import { isOurs, pemOf, type SigningSpec } from './requests.ts';

export const group = 'certificates.k8s.io';
export const resourceName = 'certificatesigningrequests';

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly [field: string]: unknown;
}
export interface SigningStatus {
  readonly conditions?: readonly Condition[];
  readonly certificate?: string;
}

export function statusOf(object: ApiObject | undefined): SigningStatus {
  return (object?.['status'] ?? {}) as SigningStatus;
}

export function signingRequests(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateSigningRequests',
    mutate({ resource, subresource, operation, object, user }) {
      if (!isSigningRequest(resource) || subresource !== '' || operation !== 'CREATE' || object === undefined) return;
      const { name, uid, groups, extra } = user;
      // Who asks is what approvers go by.
      object['spec'] = { ...(object['spec'] as object), username: name, uid, groups, extra };
    },
    async validate(request) {
      const { resource, subresource, operation, object, old } = request;
      if (!isSigningRequest(resource) || object === undefined) return;
      if (operation === 'CREATE') await checkRequest(request, object);
      const before = decisions(old);
      const after = decisions(object);
      if (subresource === 'approval') {
        if (!isDeepStrictEqual(before, after)) mustBeAllowed(authorizer, request, 'approve');
        checkDecisions(object, before, after);
      } else if (operation === 'UPDATE' && subresource === 'status') {
        if (!isDeepStrictEqual(before, after))
          throw refused(
            object,
            'status.conditions',
            'FieldValueForbidden',
            'Forbidden: Approved and Denied are written by the subresource approval',
          );
        if (statusOf(old).certificate !== statusOf(object).certificate) mustBeAllowed(authorizer, request, 'sign');
      }
    },
  };
}

function isSigningRequest(resource: { readonly group: string; readonly resource: string }): boolean {
  return resource.group === group && resource.resource === resourceName;
}

async function checkRequest({ resource, name }: AdmissionRequest, object: ApiObject): Promise<void> {
  const spec = object['spec'] as SigningSpec;
  if (!/^[a-z0-9.-]+\.[a-z0-9-]+\/[A-Za-z0-9._:/-]+$/.test(spec.signerName))
    throw refused(
      object,
      'spec.signerName',
      'FieldValueInvalid',
      `Invalid value: ${JSON.stringify(spec.signerName)}: must be a domain, a slash and a name`,
    );
  if ((spec.usages ?? []).length === 0) throw refused(object, 'spec.usages', 'FieldValueRequired', 'Required value');
  if (spec.expirationSeconds !== undefined && spec.expirationSeconds < 600)
    throw refused(
      object,
      'spec.expirationSeconds',
      'FieldValueInvalid',
      `Invalid value: ${spec.expirationSeconds}: may not specify a duration less than 600 seconds (10 minutes)`,
    );
  const { BadRequest, verifyCsr } = await import('../../ca/authority.ts');
  try {
    await verifyCsr(pemOf(spec));
  } catch (e) {
    if (!(e instanceof BadRequest)) throw e;
    throw refused(object, 'spec.request', 'FieldValueInvalid', `Invalid value: ${e.message}`);
  }
  if (!isOurs(spec.signerName)) return;
  const { refusalOf } = await import('./signers.ts');
  const reason = refusalOf(spec);
  if (reason !== undefined) throw forbidden(resource, name, reason);
}

function decisions(object: ApiObject | undefined): readonly Condition[] {
  return (statusOf(object).conditions ?? []).filter((c) => c.type === 'Approved' || c.type === 'Denied');
}

/** What was decided stays decided, and is not decided both ways. */
function checkDecisions(object: ApiObject, before: readonly Condition[], after: readonly Condition[]): void {
  const bad = (why: string) => refused(object, 'status.conditions', 'FieldValueInvalid', `Invalid value: ${why}`);
  if (before.some((b) => !after.some((a) => a.type === b.type))) throw bad('Approved and Denied are not taken back');
  if (new Set(after.map((c) => c.type)).size > 1) throw bad('Approved and Denied conditions are mutually exclusive');
  if (after.some((c) => c.status !== 'True')) throw bad('Approved and Denied have status True');
}

/** For the signer, or for all of its domain. */
function mustBeAllowed(
  authorizer: Authorizer,
  { user, resource, object, name }: AdmissionRequest,
  verb: 'approve' | 'sign',
): void {
  const { signerName } = object!['spec'] as SigningSpec;
  const domain = `${signerName.split('/', 1)[0]}/*`;
  const allowed = [signerName, domain].some(
    (signer) =>
      authorizer.authorize(user, {
        kind: 'resource',
        verb,
        group,
        resource: 'signers',
        subresource: '',
        namespace: '',
        name: signer,
      }).kind === 'allowed',
  );
  if (!allowed)
    throw forbidden(
      resource,
      name,
      `user not permitted to ${verb} requests with signerName ${JSON.stringify(signerName)}`,
    );
}

function refused({ metadata }: ApiObject, field: string, reason: Cause['reason'], message: string) {
  return invalid(group, 'CertificateSigningRequest', metadata.name ?? '', [{ reason, field, message }]);
}
