import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { formatPath } from '../common/kube/schema/validate.ts';
import { validateObject } from '../istiod/validation/validate-object.ts';

const aquifer = (args: readonly string[], input = '') => {
  const done = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    input,
    encoding: 'utf8',
  });
  return { code: done.status, out: done.stdout, err: done.stderr };
};

const bad = `apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: a}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: shop}
spec:
  hosts: [a_b.example.com]
  resolutio: DNS
`;

test('validate names file, line, column, object and field, and leaves kinds of others out', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'aquifer-validate-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'bad.yaml');
  writeFileSync(file, bad);
  const { code, out } = aquifer(['validate', folder]);
  assert.equal(code, 1);
  assert.deepEqual(out.split('\n'), [
    `${file}:14:3: error: ServiceEntry shop/out: spec.resolutio: unknown field; did you mean "resolution"?`,
    '2 objects checked, 1 errors, 0 warnings; 1 of other kinds left out',
    '',
  ]);
});

test('validate reads stdin, and prints JSON', () => {
  const { code, out } = aquifer(['validate', '-f', '-', '-o', 'json'], bad.replace('resolutio:', 'resolution:'));
  assert.equal(code, 1);
  const { errors, remarks } = JSON.parse(out) as {
    errors: number;
    remarks: { field: string; remedy: string; line: number }[];
  };
  assert.deepEqual([errors, remarks[0]?.field, remarks[0]?.line], [2, 'spec.hosts[0]', 13]);
  assert.match(remarks[0]?.remedy ?? '', /expected a name/);
});

test('arguments that are not understood', () => {
  assert.deepEqual(
    [aquifer(['validate']).code, aquifer(['vlidate']).code, aquifer(['validate', '-o', 'xml', 'a']).code],
    [64, 64, 64],
  );
  assert.match(aquifer(['validate', '/nowhere']).err, /\/nowhere cannot be read/);
  assert.match(aquifer(['validate', '--help']).out, /^aquifer validate: /);
});

test('crds prints the webhook too, complete but for the root that istiod fills in', () => {
  const { out } = aquifer(['crds', 'telemetry.istio.io', '--webhook', 'mesh', '-o', 'json']);
  const { items } = JSON.parse(out) as { items: { kind: string; webhooks?: Record<string, unknown>[] }[] };
  assert.deepEqual(
    items.map((i) => i.kind),
    ['CustomResourceDefinition', 'ValidatingWebhookConfiguration'],
  );
  const { failurePolicy, clientConfig } = items[1]!.webhooks![0]!;
  const service = { name: 'istiod', namespace: 'mesh', path: '/validate', port: 443 };
  assert.deepEqual([failurePolicy, clientConfig], ['Fail', { service }]);
});

test('crds prints definitions that the API server takes for such', () => {
  const { code, out } = aquifer(['crds', 'gateway.networking.k8s.io']);
  assert.equal(code, 0);
  const definitions = parseAllDocuments(out).map((d) => d.toJS() as Record<string, unknown>);
  assert.equal(definitions.length, 10);
  for (const definition of definitions) {
    const found = validateObject(definition);
    assert.deepEqual(
      (found ?? []).map((f) => `${formatPath(f.path)}: ${f.reason}`),
      [],
    );
    const { annotations } = definition['metadata'] as { annotations: Record<string, string> };
    assert.deepEqual(
      [annotations['gateway.networking.k8s.io/channel'], annotations['gateway.networking.k8s.io/bundle-version']],
      ['experimental', 'v1.6.1'],
    );
  }
});
