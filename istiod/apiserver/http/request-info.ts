/** What a request asks for, read from its method and path alone. Authorization and every handler see this and not the path. */

export type RequestVerb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch';

export type RequestInfo = ResourceRequest | PathRequest;

/** `/api/v1/namespaces/NS/pods/NAME/log` and the like. */
export interface ResourceRequest {
  readonly kind: 'resource';
  readonly verb: RequestVerb;
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  /** Empty: the object itself. */
  readonly subresource: string;
  /** What follows the subresource: `pods/NAME/proxy/a/b`. */
  readonly rest: string;
  /** Empty: all namespaces, or the resource is cluster-scoped. */
  readonly namespace: string;
  /** Empty: the collection. */
  readonly name: string;
}

/** Discovery, health, metrics: anything that names no resource. */
export interface PathRequest {
  readonly kind: 'path';
  /** As RBAC names it for paths. */
  readonly verb: 'get' | 'head' | 'post' | 'put' | 'patch' | 'delete' | 'options' | 'other';
  /** Without trailing slashes; `/` alone is empty. */
  readonly path: string;
}

/** undefined: the path has a part that cannot be decoded. */
export function parseRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo | undefined {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '') continue;
    const decoded = decode(part);
    if (decoded === undefined) return undefined;
    parts.push(decoded);
  }
  return (
    resourceRequest(method, parts, query) ?? {
      kind: 'path',
      verb: pathVerb(method),
      path: parts.map((p) => `/${p}`).join(''),
    }
  );
}

function resourceRequest(
  method: string,
  parts: readonly string[],
  query: URLSearchParams,
): ResourceRequest | undefined {
  const [root, ...after] = parts;
  let group = '';
  let rest = after;
  if (root === 'apis') [group = '', ...rest] = after;
  else if (root !== 'api') return undefined;
  let [version, ...place] = rest;
  if (version === undefined || place.length === 0) return undefined;
  // The old form of a watch: /api/v1/watch/...
  const watching = place[0] === 'watch';
  if (watching) place = place.slice(1);
  let namespace = '';
  if (place[0] === 'namespaces' && place.length > 1) {
    // Below a namespace's name are its objects, but for its own subresources.
    if (place.length === 2 || isNamespaceSubresource(place)) {
      namespace = place[1]!;
    } else {
      namespace = place[1]!;
      place = place.slice(2);
    }
  }
  const [resource = '', name = '', subresource = '', ...more] = place;
  if (resource === '') return undefined;
  const verb = verbOf(method, name, watching, query);
  return { kind: 'resource', verb, group, version, resource, subresource, rest: more.join('/'), namespace, name };
}

function isNamespaceSubresource(place: readonly string[]): boolean {
  return place.length === 3 && (place[2] === 'status' || place[2] === 'finalize');
}

function verbOf(method: string, name: string, watching: boolean, query: URLSearchParams): RequestVerb {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete';
    default:
      if (watching || (name === '' && isTrue(query.get('watch')))) return 'watch';
      return name === '' ? 'list' : 'get';
  }
}

/** As Go reads booleans of a query; `?watch` alone is true. */
export function isTrue(value: string | null): boolean {
  return value !== null && ['1', 't', 'T', 'true', 'TRUE', 'True', ''].includes(value);
}

function pathVerb(method: string): PathRequest['verb'] {
  switch (method) {
    case 'GET':
      return 'get';
    case 'HEAD':
      return 'head';
    case 'POST':
      return 'post';
    case 'PUT':
      return 'put';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return 'delete';
    case 'OPTIONS':
      return 'options';
    default:
      return 'other';
  }
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
