import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { MeshError } from '../../core/errors.ts';
import { loadKubeconfig, parseRemoteKubeconfig } from './kubeconfig.ts';

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'aq-kubeconfig-'));
});
after(() => rmSync(dir, { recursive: true }));

const pem = (what: string) => `-----BEGIN ${what}-----\nAAAA\n-----END ${what}-----\n`;
const base64 = (text: string) => Buffer.from(text).toString('base64');

function put(name: string, content: unknown): string {
  const path = join(dir, name);
  writeFileSync(path, typeof content === 'string' ? content : stringify(content));
  return path;
}

/** One context; `more` goes into its cluster and its user. */
function config(cluster: object = {}, user: object = {}) {
  return {
    'current-context': 'c',
    contexts: [
      { name: 'c', context: { cluster: 'k', user: 'u', namespace: 'shop' } },
      { name: 'nobody', context: { cluster: 'k' } },
    ],
    clusters: [{ name: 'k', cluster: { server: 'https://api.test:6443/prefix', ...cluster } }],
    users: [{ name: 'u', user }],
  };
}

const refused = (path: string, text: RegExp) =>
  assert.throws(
    () => loadKubeconfig(path),
    (e) => e instanceof MeshError && e.code === 'CONFIG' && text.test(e.message),
  );

test('the current context, or the one that is asked for', () => {
  const path = put('a', config({ 'certificate-authority-data': base64(pem('CERTIFICATE')) }, { token: 't' }));
  assert.deepEqual(loadKubeconfig(path), {
    server: new URL('https://api.test:6443/prefix'),
    ca: pem('CERTIFICATE'),
    insecure: false,
    serverName: undefined,
    proxy: undefined,
    credentials: { kind: 'token', token: 't' },
    impersonate: undefined,
    namespace: 'shop',
  });
  const nobody = loadKubeconfig(path, { context: 'nobody' });
  assert.deepEqual([nobody.credentials, nobody.namespace], [{ kind: 'none' }, 'default']);
});

test('files are found beside the kubeconfig, and a token in a file is read later', () => {
  put('ca.pem', pem('CERTIFICATE'));
  put('key.pem', pem('PRIVATE KEY'));
  const certificate = { 'client-certificate': 'ca.pem', 'client-key': 'key.pem' };
  const byFile = loadKubeconfig(put('b', config({ 'certificate-authority': 'ca.pem' }, certificate)));
  assert.equal(byFile.ca, pem('CERTIFICATE'));
  assert.deepEqual(byFile.credentials, {
    kind: 'certificate',
    certificate: pem('CERTIFICATE'),
    key: pem('PRIVATE KEY'),
  });
  const token = loadKubeconfig(put('c', config({}, { tokenFile: 'token', token: 'older' })));
  assert.deepEqual(token.credentials, { kind: 'tokenFile', path: join(dir, 'token') });
});

test('a user may act as another one', () => {
  const as = { token: 't', as: 'jane', 'as-groups': ['ops'], 'as-uid': '7' };
  const { impersonate } = loadKubeconfig(put('as', config({}, as)));
  assert.deepEqual(impersonate, { user: 'jane', groups: ['ops'], uid: '7' });
  refused(put('as', config({}, { token: 't', 'as-groups': ['ops'] })), /user "u": as is not set, and as-groups/);
});

test('of several files the first that has an entry counts', () => {
  const first = put('d', { users: [{ name: 'u', user: { token: 'first' } }] });
  const second = put('e', config({}, { token: 'second' }));
  assert.deepEqual(loadKubeconfig(`${first}:${second}`).credentials, { kind: 'token', token: 'first' });
});

test('what is wrong is named', () => {
  refused(join(dir, 'absent'), /cannot read the kubeconfig: ENOENT/);
  refused(put('f', '{ not: [yaml'), /f: not valid YAML/);
  refused(put('g', '- a list'), /g: expected a mapping/);
  refused(put('h', { ...config(), 'current-context': '' }), /h: current-context is not set/);
  refused(put('i', { ...config(), 'current-context': 'x' }), /i: contexts has no entry "x"/);
  refused(put('j', { ...config(), clusters: [] }), /j: clusters has no entry "k"/);
  refused(put('k', config({ server: 'ftp://x' })), /k: cluster "k": server is not an https:\/\/ URL/);
  refused(put('l', config({ 'certificate-authority-data': '!' })), /certificate-authority-data is not PEM in base64/);
  refused(put('m', config({ 'certificate-authority': 'missing.pem' })), /certificate-authority of .*ENOENT/);
  refused(put('n', config({}, { 'client-certificate-data': base64(pem('X')) })), /client-key belong together/);
  const exec = (more: object) =>
    config({}, { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'x', ...more } });
  refused(
    put('o', exec({ apiVersion: 'client.authentication.k8s.io/v1alpha1' })),
    /user "u": exec: apiVersion is .*v1alpha1/,
  );
  refused(put('o', exec({ command: '' })), /exec: command is not set/);
  refused(put('o', exec({ args: 'x' })), /exec: args is not a list of texts/);
  refused(put('o', exec({ env: [{ name: 'A' }] })), /exec: env is not a list of names and values/);
  refused(put('o', exec({ interactiveMode: 'Always' })), /interactiveMode is Always/);
  refused(put('o', config({}, { exec: 'x' })), /exec is not a mapping/);
  refused(put('p', config({ 'proxy-url': 'socks5://p' })), /proxy-url is not an http:\/\/ or https:\/\/ URL/);
  refused(put('q', config({}, { token: 7 })), /token is not a text/);
  refused('', /not named/);
});

test('whatever a file says, it is read or refused', () => {
  const some = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.boolean(), fc.constant([]), fc.constant({}));
  const fields = fc.dictionary(
    fc.constantFrom('server', 'token', 'client-key', 'certificate-authority-data', 'insecure-skip-tls-verify'),
    some,
  );
  const part = fc.constantFrom('contexts', 'clusters', 'users', 'current-context');
  fc.assert(
    fc.property(fields, fields, fc.option(part), some, (cluster, user, broken, value) => {
      const content = { ...config(cluster, user), ...(broken === null ? {} : { [broken]: value }) };
      try {
        loadKubeconfig(put('any', content));
      } catch (e) {
        assert.ok(e instanceof MeshError && e.code === 'CONFIG', String(e));
      }
    }),
  );
});

test('one that came from elsewhere may not read files here, start programs or trust anybody', () => {
  const of = (cluster: object, user: object) => parseRemoteKubeconfig('Secret a/b', stringify(config(cluster, user)));
  const ca = { 'certificate-authority-data': base64(pem('CERTIFICATE')) };
  assert.deepEqual(of(ca, { token: 't' }).credentials, { kind: 'token', token: 't' });
  const exec = { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', interactiveMode: 'Never' } };
  const not: [object, object, RegExp][] = [
    [ca, exec, /Secret a\/b: exec is not allowed here/],
    [ca, { 'auth-provider': { name: 'gcp' } }, /auth-provider is not supported/],
    [ca, { tokenFile: '/var/run/secrets/token' }, /tokenFile names a file, which is not allowed/],
    [ca, { 'client-certificate': '/etc/x', 'client-key': '/etc/y' }, /client-certificate names a file/],
    [{ 'certificate-authority': '/etc/ca' }, { token: 't' }, /certificate-authority names a file/],
    [{ ...ca, 'insecure-skip-tls-verify': true }, { token: 't' }, /insecure-skip-tls-verify is not allowed/],
    [{ ...ca, server: 'http://api.test' }, { token: 't' }, /expected an https/],
    [ca, { token: 't', as: 'admin' }, /as is not allowed here/],
  ];
  for (const [cluster, user, message] of not) {
    assert.throws(
      () => of(cluster, user),
      (e) => e instanceof MeshError && e.code === 'CONFIG' && message.test(e.message),
      String(message),
    );
  }
});
