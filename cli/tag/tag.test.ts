import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { namespaceKind, serviceKind } from '../../common/kube/kinds/core.ts';
import { ownerOf, revisionsOf, serviceOf } from '../../common/kube/revisions.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { startTestServer } from '../../istiod/apiserver/testing/client.ts';
import { mutatingWebhooks, validatingWebhooks } from '../../istiod/validation/ca-bundle.ts';
import { aquifer } from '../testing/run.ts';
import { removedWith, setTag, type TagFacts, tagRows } from './plan.ts';

const object = (kind: string, name: string, labels: Record<string, string>, more: object = {}) =>
  ({
    apiVersion: kind === 'Service' ? 'v1' : 'admissionregistration.k8s.io/v1',
    kind,
    metadata: { name, uid: name, resourceVersion: '1', labels },
    ...more,
  }) as KubeObject;
const ports = [{ name: 'https-dns', port: 15012, protocol: 'TCP' }];
const istiod = (revision: string) =>
  object(
    'Service',
    serviceOf(revision),
    { app: 'istiod', 'istio.io/rev': revision, 'app.kubernetes.io/managed-by': 'Helm', 'helm.sh/chart': 'istiod-1' },
    { spec: { ports, selector: { app: 'istiod', 'istio.io/rev': revision }, clusterIP: '10.96.0.1' } },
  );
const injector = (labels: Record<string, string>) => object('MutatingWebhookConfiguration', 'injector', labels);
const facts = (more: Partial<TagFacts> = {}): TagFacts => ({
  istioNamespace: 'istio-system',
  services: [istiod('default'), istiod('canary')],
  injectors: [],
  validators: [],
  namespaces: [object('Namespace', 'shop', { 'istio.io/rev': 'prod' })],
  ...more,
});
const wanted = { tag: 'prod', revision: 'canary', overwrite: false, generates: false };

test('a tag is a Service like its istiod, without the labels of the chart', () => {
  const { service, injectors } = setTag(facts(), wanted);
  assert.deepEqual(service, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'istiod-revision-tag-prod',
      namespace: 'istio-system',
      labels: { app: 'istiod', 'istio.io/rev': 'canary', 'istio.io/tag': 'prod' },
    },
    spec: { ports, selector: { app: 'istiod', 'istio.io/rev': 'canary' } },
  });
  assert.deepEqual(injectors, []);
  const { tags } = revisionsOf({ services: [service as unknown as KubeObject], webhooks: [], validator: undefined });
  assert.equal(ownerOf({ tags, unnamed: 'default' }, 'prod', undefined), 'canary');
});

test('what is in the way is named, with what to do', () => {
  const tagged = { 'istio.io/rev': 'default', 'istio.io/tag': 'prod' };
  for (const [more, what, code, said] of [
    [{}, { revision: 'next' }, 'NOT_FOUND', /revision next: namespace istio-system has no Service .*default, canary$/],
    [{}, { tag: 'canary' }, 'CONFIG', /tag canary: a revision has this name.*--overwrite/],
    [{ services: [istiod('canary'), istiod('canary')] }, {}, 'CONFIG', /both are its istiod/],
    [{ injectors: [injector({ 'istio.io/rev': 'canary' })] }, {}, 'UNSUPPORTED', /istioctl tag set/],
    [{ injectors: [injector(tagged)] }, {}, 'CONFIG', /points to a revision already; --overwrite/],
    [{ services: [istiod('canary'), object('Service', 't', tagged)] }, {}, 'CONFIG', /--overwrite/],
  ] as const)
    assert.throws(
      () => setTag(facts(more), { ...wanted, ...what }),
      (e) => e instanceof MeshError && e.code === code && said.test(e.message),
      String(said),
    );
  const taken = setTag(facts({ injectors: [injector(tagged)] }), { ...wanted, overwrite: true });
  assert.deepEqual(
    taken.injectors.map((i) => i.metadata.name),
    ['injector'],
  );
});

test('tags are listed with revisions that have none', () => {
  const tagged = (revision: string, tag: string) =>
    object('Service', tag, { 'istio.io/rev': revision, 'istio.io/tag': tag });
  const services = [istiod('default'), istiod('canary'), tagged('canary', 'prod'), tagged('canary', 'a')];
  assert.deepEqual(tagRows(facts({ services })), [
    { tag: 'a', revision: 'canary', namespaces: [] },
    { tag: 'prod', revision: 'canary', namespaces: ['shop'] },
    { tag: '', revision: 'default', namespaces: [] },
  ]);
  assert.throws(() => removedWith(facts(), 'prod'), /aquifer tag list/);
});

test('set, moved, listed, generated and removed on an API server', async () => {
  await using api = await startTestServer();
  const { kubeconfig } = api.server;
  const kube = createKubeClient({ access: loadKubeconfig(kubeconfig) });
  try {
    const run = (line: string) => aquifer(['tag', ...line.split(' ')], { kubeconfig });
    const metadata = { name: 'istio-system' };
    await kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata });
    assert.deepEqual(await run('list'), { code: 0, out: 'No Istio revision tags found.\n', err: '' });
    for (const revision of ['default', 'canary']) {
      const {
        apiVersion,
        kind,
        metadata: { name, labels },
        ...rest
      } = istiod(revision);
      const { clusterIP: _, ...spec } = rest['spec'] as Record<string, unknown>;
      await kube.create(serviceKind, {
        apiVersion,
        kind,
        metadata: { namespace: 'istio-system', name, labels: labels! },
        spec,
      });
    }
    const labels = { 'istio.io/rev': 'prod' };
    await kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } });
    const validator = {
      name: 'validation.istio.io',
      clientConfig: { service: { name: 'istiod', namespace: 'istio-system', path: '/validate', port: 443 } },
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
    };
    await kube.create(validatingWebhooks, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'istiod-default-validator', labels: { 'istio.io/rev': 'default' } },
      webhooks: [validator],
    });

    const generated = await run('generate prod -r canary');
    assert.match(generated.out, /^apiVersion: v1\nkind: Service\nmetadata:\n {2}name: istiod-revision-tag-prod\n/);
    assert.equal((await run('list')).out, 'TAG   REVISION   NAMESPACES\n      canary\n      default\n');
    assert.match((await run('set prod -r default')).out, /^tag prod points to revision default\nnext: kubectl label/);
    const again = await run('set prod -r canary');
    assert.deepEqual([again.code, again.out], [1, '']);
    assert.match(again.err, /^aquifer: tag prod points to a revision already; --overwrite moves it\n$/);
    assert.equal((await run('set prod -r canary --overwrite')).code, 0);
    const rows = ['TAG    REVISION   NAMESPACES', 'prod   canary     shop', '       default', ''];
    assert.equal((await run('show')).out, rows.join('\n'));
    assert.deepEqual(JSON.parse((await run('list -o json')).out)[0], {
      tag: 'prod',
      revision: 'canary',
      namespaces: ['shop'],
    });

    assert.match((await run('set default -r canary')).out, /what names no revision is its own; and checked by it/);
    const found = await kube.get(validatingWebhooks, { name: 'istiod-default-validator' });
    assert.equal(found?.metadata.labels?.['istio.io/rev'], 'canary');
    assert.equal(found?.webhooks?.[0]?.clientConfig.service?.name, 'istiod-canary');

    // As istioctl wrote them.
    await kube.create(mutatingWebhooks, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'istio-revision-tag-old', labels: { 'istio.io/rev': 'default', 'istio.io/tag': 'old' } },
      webhooks: [],
    });
    assert.match((await run('list')).out, /^old +default/m);
    assert.equal((await run('remove old')).code, 0);
    assert.equal(await kube.get(mutatingWebhooks, { name: 'istio-revision-tag-old' }), undefined);
    const asked = await run('remove prod');
    assert.match(asked.err, /Namespaces shop name tag prod: .* --skip-confirmation/);
    assert.equal((await run('delete prod -y')).out, 'tag prod removed\n');
    assert.match((await run('remove prod -y')).err, /tag prod: there is no Service/);
    for (const line of ['set', 'set a', 'set a b -r x', 'list x', 'remove'])
      assert.equal((await run(line)).code, 1, `${line}: as istioctl`);
    assert.equal((await run('set a --bogus')).code, 64);
  } finally {
    kube.close();
  }
});
