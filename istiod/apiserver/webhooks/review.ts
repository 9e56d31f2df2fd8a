/** AdmissionReview (admission.k8s.io/v1), there and back. Pure. */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { AdmissionRequest } from '../admission/admission.ts';
import type { ApiObject } from '../objects.ts';
import { apiVersionOf, type Resource } from '../resources/resource.ts';

export interface Answer {
  readonly allowed: boolean;
  /** Of a refusal. */
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly warnings: readonly string[];
  /** JSONPatch operations; undefined: none. */
  readonly patch: unknown;
}

/** The webhook did not answer as it should. */
export class WebhookError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WebhookError';
  }
}

const optionKinds = {
  CREATE: 'CreateOptions',
  UPDATE: 'UpdateOptions',
  DELETE: 'DeleteOptions',
  CONNECT: 'ConnectOptions',
};

/** `as`: the version in which the webhook wants it. */
export function reviewOf(request: AdmissionRequest, as: Resource, uid: string): Record<string, unknown> {
  const { resource, subresource, operation, namespace, name, object, old, user, dryRun } = request;
  const kindOf = ({ group, version, kind }: Resource) => ({ group, version, kind });
  const placeOf = ({ group, version, resource: plural }: Resource) => ({ group, version, resource: plural });
  const sub = (field: string) => (subresource === '' ? {} : { [field]: subresource });
  const shown = (o: ApiObject | undefined) => (o === undefined ? null : { ...o, apiVersion: apiVersionOf(as) });
  return {
    uid,
    kind: kindOf(as),
    resource: placeOf(as),
    ...sub('subResource'),
    requestKind: kindOf(resource),
    requestResource: placeOf(resource),
    ...sub('requestSubResource'),
    ...(name === '' ? {} : { name }),
    ...(namespace === '' ? {} : { namespace }),
    operation,
    userInfo: {
      username: user.name,
      ...(user.uid === '' ? {} : { uid: user.uid }),
      groups: user.groups,
      ...(Object.keys(user.extra).length === 0 ? {} : { extra: user.extra }),
    },
    object: shown(object),
    oldObject: shown(old),
    dryRun,
    options: { apiVersion: 'meta.k8s.io/v1', kind: optionKinds[operation], ...(dryRun ? { dryRun: ['All'] } : {}) },
  };
}

/** WebhookError. `mutates`: patches are taken. */
export function readAnswer(text: string, uid: string, mutates: boolean): Answer {
  const review = parse(text);
  const response = isObject(review) ? review['response'] : undefined;
  if (!isObject(review) || !isObject(response)) throw new WebhookError('the answer has no response');
  if (review['apiVersion'] !== 'admission.k8s.io/v1' || review['kind'] !== 'AdmissionReview') {
    throw new WebhookError('the answer is no AdmissionReview of admission.k8s.io/v1');
  }
  if (response['uid'] !== uid)
    throw new WebhookError(`the answer's uid is ${JSON.stringify(response['uid'])}, not the request's`);
  if (typeof response['allowed'] !== 'boolean') throw new WebhookError('the answer does not say whether it is allowed');
  const status = isObject(response['status']) ? response['status'] : {};
  const { code, reason, message } = status;
  return {
    allowed: response['allowed'],
    code: typeof code === 'number' && Number.isInteger(code) && code >= 400 && code <= 599 ? code : 403,
    reason: typeof reason === 'string' && reason !== '' ? reason : 'Forbidden',
    message: typeof message === 'string' ? message : typeof reason === 'string' ? reason : '',
    warnings: Array.isArray(response['warnings']) ? response['warnings'].map(String) : [],
    patch: patchOf(response, mutates),
  };
}

function patchOf(response: Readonly<Record<string, unknown>>, mutates: boolean): unknown {
  const { patch, patchType } = response;
  if (patch === undefined || patch === null || patch === '') return undefined;
  if (!mutates) throw new WebhookError('a validating webhook may not change the object');
  if (patchType !== 'JSONPatch' || typeof patch !== 'string') throw new WebhookError('the patch is no JSONPatch');
  return parse(Buffer.from(patch, 'base64').toString());
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new WebhookError('the answer is not JSON');
  }
}
