/** Paths that say what they mean, and any others. What this file reads is what authorization decides on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseRequestInfo, type ResourceRequest } from './request-info.ts';

const none = new URLSearchParams();
const part = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/).filter((p) => !['watch', 'namespaces'].includes(p));
const verbs = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete', GET: 'get' } as const;
const collectionVerbs = {
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'deletecollection',
  GET: 'list',
} as const;

test('a path made of its parts is read as them', () => {
  const anything = fc.record({
    group: fc.oneof(fc.constant(''), part),
    version: part,
    namespace: fc.oneof(fc.constant(''), part),
    resource: part,
    name: fc.oneof(fc.constant(''), part, fc.constantFrom('a b', 'ü', 'a%b', 'a?b')),
    subresource: fc.oneof(fc.constant(''), part),
    method: fc.constantFrom('POST', 'PUT', 'PATCH', 'DELETE', 'GET'),
    slashes: fc.constantFrom('', '/'),
  });
  fc.assert(
    fc.property(anything, ({ group, version, namespace, resource, name, subresource, method, slashes }) => {
      const parts = [group === '' ? 'api' : `apis/${group}`, version];
      if (namespace !== '') parts.push('namespaces', namespace);
      parts.push(resource);
      if (name !== '') parts.push(encodeURIComponent(name));
      const sub = name === '' ? '' : subresource;
      if (sub !== '') parts.push(sub);
      const m = method as keyof typeof verbs;
      const expected: ResourceRequest = {
        kind: 'resource',
        verb: name === '' ? collectionVerbs[m] : verbs[m],
        group,
        version,
        resource,
        subresource: sub,
        rest: '',
        namespace,
        name,
      };
      assert.deepEqual(parseRequestInfo(method, `/${parts.join('/')}${slashes}`, none), expected);
    }),
    { numRuns: 500 },
  );
});

test('namespaces, their subresources and what is in them', () => {
  const read = (path: string) => {
    const { resource, name, namespace, subresource } = parseRequestInfo('GET', path, none) as ResourceRequest;
    return [resource, name, namespace, subresource];
  };
  assert.deepEqual(read('/api/v1/namespaces'), ['namespaces', '', '', '']);
  assert.deepEqual(read('/api/v1/namespaces/a'), ['namespaces', 'a', 'a', '']);
  assert.deepEqual(read('/api/v1/namespaces/a/status'), ['namespaces', 'a', 'a', 'status']);
  assert.deepEqual(read('/api/v1/namespaces/a/finalize'), ['namespaces', 'a', 'a', 'finalize']);
  assert.deepEqual(read('/api/v1/namespaces/a/pods'), ['pods', '', 'a', '']);
  assert.deepEqual(read('/api/v1/namespaces/a/pods/b/log'), ['pods', 'b', 'a', 'log']);
});

test('any path is read or refused, and slashes and dots within a part stay in it', () => {
  fc.assert(
    fc.property(fc.oneof(fc.webPath(), fc.string()), (path) => void parseRequestInfo('GET', path, none)),
    { numRuns: 200 },
  );
  assert.equal(parseRequestInfo('GET', '/api/v1/%zz', none), undefined);
  const hidden = parseRequestInfo('GET', '/api/v1/namespaces/a%2Fpods/secrets/..', none) as ResourceRequest;
  assert.deepEqual([hidden.namespace, hidden.resource, hidden.name], ['a/pods', 'secrets', '..']);
});
