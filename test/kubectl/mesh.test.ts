/** The real kubectl with the mesh's own kinds: `aquifer crds`, examples of all, refusals by schema, by rule and by meaning. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { until } from '../../common/testing/until.ts';
import { startTestServer, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { meshValidation } from '../../istiod/validation/api-part.ts';
import { examples } from '../../istiod/validation/testing/examples.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';

const cli = join(import.meta.dirname, '../../cli/main.ts');

describe('kubectl with kinds of the mesh', { skip: skipWithoutKubectl() }, () => {
  let server: TestServer;
  let kubectl: Kubectl;
  before(async () => {
    server = await startTestServer(undefined, [meshValidation]);
    kubectl = new Kubectl(server.server.kubeconfig);
  });
  after(() => server[Symbol.asyncDispose]());

  test('crds | kubectl apply, and each kind takes its example, twice', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [cli, 'crds'], { maxBuffer: 16 * 1024 * 1024 });
    await kubectl.ok(['apply', '--server-side', '-f', '-'], stdout);
    await kubectl.ok(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
    for (const namespace of ['shop', 'infra']) await kubectl.ok(['create', 'namespace', namespace]);
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: examples });
    const created = await until('kubectl to know the kinds', async () => {
      const done = await kubectl.run(['apply', '-f', '-'], list);
      return done.code === 0 ? done.stdout : undefined;
    });
    assert.equal(created.trim().split('\n').length, examples.length);
    // kubectl sends lists anew whose items were filled in; the object stays what it was.
    await kubectl.ok(['apply', '-f', '-'], list);
    const generation = ['get', 'httproute', 'web', '-n', 'shop', '-o', 'jsonpath={.metadata.generation}'];
    assert.equal(await kubectl.ok(generation), '1');
  });

  test('short names, columns and explain', async () => {
    assert.match(
      await kubectl.ok(['get', 'vs', '-n', 'shop']),
      /^web +\["mesh","infra\/front"\] +\["web\.example\.com"/m,
    );
    assert.match(
      await kubectl.ok(['get', 'gtw', '-n', 'infra']),
      /^NAME +CLASS +ADDRESS +PROGRAMMED +AGE\nfront +istio/m,
    );
    const explained = await kubectl.ok(['explain', 'ap.spec.rules.from.source.principals']);
    assert.match(explained, /Identities, <trust domain>\/ns\/<namespace>\/sa\/<service account>/);
  });

  test('refusals name the field, whoever refuses', async () => {
    const policy = (spec: object) =>
      JSON.stringify({
        apiVersion: 'security.istio.io/v1',
        kind: 'AuthorizationPolicy',
        metadata: { name: 'bad', namespace: 'shop' },
        spec,
      });
    const refusals: readonly (readonly [object, RegExp])[] = [
      [{ acton: 'DENY' }, /unknown field "spec\.acton"/],
      [{ action: 'FORBID' }, /spec\.action: .*"FORBID"/],
      [{ selector: {}, targetRefs: [{ kind: 'Service', name: 'a' }] }, /spec: .*exclude each other; keep one/],
      [{ action: 'DENY', rules: [] }, /spec\.rules: .*nothing is ever denied/],
    ];
    for (const [spec, said] of refusals) {
      const { code, stderr } = await kubectl.run(['apply', '-f', '-'], policy(spec));
      assert.equal(code, 1);
      assert.match(stderr, said);
    }
    const warned = await kubectl.run(['apply', '-f', '-'], policy({ rules: [] }));
    assert.equal(warned.code, 0);
    assert.match(warned.stderr, /Warning: spec\.rules: an ALLOW policy without rules denies everything/);
  });
});
