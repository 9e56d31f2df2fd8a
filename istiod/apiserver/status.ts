/** Refusals in Kubernetes' own shape: every error that a client sees is one of these. */
import type { GroupResource } from './resources/resource.ts';

export type CauseType =
  | 'FieldValueRequired'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueDuplicate'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldValueNotFound'
  | 'FieldValueTypeInvalid'
  | 'FieldManagerConflict'
  | 'UnexpectedServerResponse'
  | 'NamespaceTerminating'
  | 'DisruptionBudget'
  | 'ResourceVersionTooLarge';

export interface Cause {
  readonly reason: CauseType;
  readonly message: string;
  /** `spec.containers[0].name`. */
  readonly field?: string;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  /** The resource (`pods`), but the kind (`Pod`) where an object is invalid. */
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly Cause[];
  readonly retryAfterSeconds?: number;
}

export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Record<string, never>;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code: number;
}

export class ApiError extends Error {
  readonly status: Status;

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.name = 'ApiError';
    this.status = failure(code, reason, message, details);
  }
}

function failure(code: number, reason: string, message: string, details?: StatusDetails): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code,
  };
}

export function success(details?: StatusDetails): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    ...(details === undefined ? {} : { details }),
    code: 200,
  };
}

/** `deployments.apps`, `pods`. */
export function qualified({ group, resource }: GroupResource): string {
  return group === '' ? resource : `${resource}.${group}`;
}

function detailsOf({ group, resource }: GroupResource, name: string): StatusDetails {
  return { ...(name === '' ? {} : { name }), ...(group === '' ? {} : { group }), kind: resource };
}

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message);

export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized');

export const forbidden = (of: GroupResource, name: string, why: string): ApiError =>
  new ApiError(
    403,
    'Forbidden',
    `${qualified(of)}${name === '' ? '' : ` ${JSON.stringify(name)}`} is forbidden: ${why}`,
    detailsOf(of, name),
  );

/** Nothing new is made in a namespace that is being deleted. */
export const namespaceTerminating = (of: GroupResource, name: string, namespace: string): ApiError => {
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  const message = forbidden(of, name, why).message;
  const cause: Cause = {
    reason: 'NamespaceTerminating',
    message: `namespace ${namespace} is being terminated`,
    field: 'metadata.namespace',
  };
  return new ApiError(403, 'Forbidden', message, { ...detailsOf(of, name), causes: [cause] });
};

export const notFound = (of: GroupResource, name: string): ApiError =>
  new ApiError(404, 'NotFound', `${qualified(of)} ${JSON.stringify(name)} not found`, detailsOf(of, name));

/** The path itself names nothing, and details that name nothing say so: kubectl looks into them. */
export const noSuchPath = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});

export const methodNotAllowed = (of: GroupResource, verb: string): ApiError =>
  new ApiError(405, 'MethodNotAllowed', `${verb} is not supported on resources of kind "${qualified(of)}"`, {
    ...detailsOf(of, ''),
  });

export const notAcceptable = (offered: readonly string[]): ApiError =>
  new ApiError(406, 'NotAcceptable', `only the following media types are accepted: ${offered.join(', ')}`);

export const alreadyExists = (of: GroupResource, name: string): ApiError =>
  new ApiError(409, 'AlreadyExists', `${qualified(of)} ${JSON.stringify(name)} already exists`, detailsOf(of, name));

export const conflict = (of: GroupResource, name: string, why: string): ApiError =>
  new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(of)} ${JSON.stringify(name)}: ${why}`,
    detailsOf(of, name),
  );

export const objectModified = (of: GroupResource, name: string): ApiError =>
  conflict(of, name, 'the object has been modified; please apply your changes to the latest version and try again');

/** Each cause names a field and the manager that owns it. */
export const applyConflict = (message: string, causes: readonly Cause[]): ApiError =>
  new ApiError(409, 'Conflict', message, { causes });

/** 410: `Expired` for lists that go on and watches that resume too late. */
export const expired = (message: string): ApiError => new ApiError(410, 'Expired', message);

export const tooLarge = (bytes: number): ApiError =>
  new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${bytes}`);

export const unsupportedMediaType = (found: string, expected: readonly string[]): ApiError =>
  new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format (${found || 'no content-type'}) - accepted media types include: ${expected.join(', ')}`,
  );

export const invalid = (group: string, kind: string, name: string, causes: readonly Cause[]): ApiError => {
  const messages = causes.map((c) => (c.field === undefined ? c.message : `${c.field}: ${c.message}`));
  const text = messages.length === 1 ? messages[0]! : `[${messages.join(', ')}]`;
  return new ApiError(
    422,
    'Invalid',
    `${kind}${group === '' ? '' : `.${group}`} ${JSON.stringify(name)} is invalid: ${text}`,
    {
      ...(name === '' ? {} : { name }),
      ...(group === '' ? {} : { group }),
      kind,
      causes,
    },
  );
};

export const tooManyRequests = (retryAfterSeconds: number, why: string): ApiError =>
  new ApiError(429, 'TooManyRequests', why, { retryAfterSeconds });

/** What happened is in the log, not in the answer. */
export const internalError = (): ApiError =>
  new ApiError(500, 'InternalError', 'Internal error occurred; the log of the server says what');

export const notImplemented = (message: string): ApiError => new ApiError(501, 'NotImplemented', message);

export const unavailable = (message: string): ApiError =>
  new ApiError(503, 'ServiceUnavailable', message, { retryAfterSeconds: 1 });

export const tooLargeResourceVersion = (wanted: string, current: number): ApiError =>
  new ApiError(504, 'Timeout', `Timeout: Too large resource version: ${wanted}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
