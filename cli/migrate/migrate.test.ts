import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { parseAllDocuments } from 'yaml';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import type { KubeObject, NewObject } from '../../common/kube/types.ts';
import { startTestServer } from '../../istiod/apiserver/testing/client.ts';
import { meshDefinitions } from '../../istiod/crds/definitions.ts';
import { aquifer } from '../testing/run.ts';
import { lossesOf } from './losses.ts';
import { factsOf } from './parts.ts';
import { releaseIn } from './release.ts';
import { isDone, planOf, type Step } from './steps.ts';
import { type Carried, carryOver } from './values.ts';

const fixture = join(import.meta.dirname, 'istio.fixture.yaml');
const installed = parseAllDocuments(readFileSync(fixture, 'utf8')).map((d) => d.toJS() as KubeObject);
const nothing: Carried = { values: {}, dropped: [] };
const carried = { base: nothing, istiod: nothing, cni: nothing, ztunnel: nothing };
const plan = (objects: readonly KubeObject[]) =>
  planOf(factsOf(objects, 'istio-system'), { revision: 'aquifer', folder: 'charts', carried });
const ids = (steps: readonly Step[]) => steps.map((s) => s.id);
const step = (objects: readonly KubeObject[], id: string) => plan(objects).find((s) => s.id === id)!;

describe('what is there', () => {
  test('parts by what their containers are, namespaces by labels and pods', () => {
    const { parts, namespaces } = factsOf(installed, 'istio-system');
    assert.deepEqual(
      parts.map((p) => [p.part, p.isOurs, p.namespace, p.version, p.isReady]),
      [
        ['istiod', false, 'istio-system', '1.29.1', true],
        ['cni', false, 'istio-system', '1.29.1', true],
        ['ztunnel', false, 'istio-system', '1.29.1-distroless', true],
        ['waypoint', false, 'shop', '1.29.1', true],
        ['gateway', false, 'istio-system', '1.29.1', true],
      ],
    );
    assert.deepEqual(
      namespaces.map((n) => [n.name, n.mode]),
      [
        ['istio-system', 'none'],
        ['shop', 'ambient'],
        ['legacy', 'sidecar'],
      ],
    );
  });

  test('a release of Helm is read, and what is none is left alone', () => {
    const secret = (text: string, type = 'helm.sh/release.v1') =>
      ({
        apiVersion: 'v1',
        kind: 'Secret',
        type,
        metadata: { name: 's', namespace: 'istio-system', uid: '', resourceVersion: '' },
        data: { release: Buffer.from(text).toString('base64') },
      }) as unknown as KubeObject;
    const release = {
      name: 'istiod',
      version: 3,
      info: { status: 'deployed' },
      chart: { metadata: { name: 'istiod', version: '1.29.1' } },
      config: { autoscaleMin: 2 },
    };
    const packed = gzipSync(JSON.stringify(release)).toString('base64');
    assert.deepEqual(releaseIn(secret(packed)), {
      name: 'istiod',
      namespace: 'istio-system',
      version: 3,
      status: 'deployed',
      chart: 'istiod',
      chartVersion: '1.29.1',
      values: { autoscaleMin: 2 },
    });
    for (const wrong of [secret(packed, 'Opaque'), secret('nothing'), secret(gzipSync('[]').toString('base64'))])
      assert.equal(releaseIn(wrong), undefined);
  });

  test('values come along as far as our charts have them; the rest is named with its reason', () => {
    const schema = {
      properties: { a: {}, global: { properties: { b: {} } }, pilot: { $ref: '#' }, open: { type: 'object' } },
    };
    const given = {
      a: 1,
      hub: 'x',
      open: { any: { thing: 1 } },
      global: { b: 2, c: 3, tag: 't' },
      pilot: { a: 4, moot: 5, nope: 6 },
      _internal_defaults_do_not_set: {},
    };
    const { values, dropped } = carryOver(given, { schema, moot: { moot: 'for a reason' } });
    assert.deepEqual(values, { a: 1, open: { any: { thing: 1 } }, global: { b: 2 }, pilot: { a: 4 } });
    assert.deepEqual(
      dropped.map((d) => [d.key, d.reason.slice(0, 12)]),
      [
        ['hub', 'the image is'],
        ['global.c', 'this chart h'],
        ['global.tag', 'the image is'],
        ['pilot.moot', 'for a reason'],
        ['pilot.nope', 'this chart h'],
      ],
    );
  });

  test('objects that will do less than under Istio are told by what their status would say', () => {
    const losses = lossesOf(installed, 'istio-system');
    assert.deepEqual(
      losses.map((l) => `${l.kind} ${l.object}`),
      ['EnvoyFilter shop/patch', 'AuthorizationPolicy legacy/get-only'],
    );
    assert.match(losses[0]!.reason, /not patched/);
    const broken = {
      ...installed[0],
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      spec: {},
    } as KubeObject;
    const [invalid] = lossesOf(
      [{ ...broken, metadata: { ...broken.metadata, namespace: 'shop', name: 'v' } }],
      'istio-system',
    );
    assert.match(
      `${invalid?.kind} ${invalid?.object} ${invalid?.reason}`,
      /^VirtualService shop\/v not valid, and left out: /,
    );
  });
});

describe('the steps', () => {
  const change = (objects: readonly KubeObject[], kind: string, name: string, with_: (o: KubeObject) => object) =>
    objects.map((o) => (o.kind === kind && o.metadata.name === name ? (with_(o) as KubeObject) : o));
  const labelled = (o: KubeObject, labels: Record<string, string>) => ({ ...o, metadata: { ...o.metadata, labels } });

  test('are in an order in which calls go on', () => {
    const steps = plan(installed);
    const spaces = ['namespace/shop', 'namespace/legacy'];
    assert.deepEqual(ids(steps), ['root', 'definitions', 'istiod', 'cni', 'ztunnel', ...spaces, 'default', 'remove']);
    assert.deepEqual(ids(steps.filter(isDone)), ['root']);
    assert.match(step(installed, 'cni').why, /restart nothing in legacy until they are moved/);
  });

  test('a namespace with sidecars leaves them; a waypoint takes what is said of requests', () => {
    const { commands } = step(installed, 'namespace/legacy');
    assert.deepEqual(commands, [
      'kubectl label namespace legacy istio-injection- istio.io/dataplane-mode=ambient istio.io/rev=aquifer --overwrite',
      'aquifer waypoint apply -n legacy --enroll-namespace --wait',
      'kubectl -n legacy rollout restart deployment,statefulset,daemonset',
    ]);
    const labels = { 'istio.io/dataplane-mode': 'ambient', 'istio.io/rev': 'aquifer' };
    const relabelled = change(installed, 'Namespace', 'legacy', (o) => labelled(o, labels));
    assert.equal(isDone(step(relabelled, 'namespace/legacy')), false, 'pods have their sidecars still');
    const restarted = change(relabelled, 'Pod', 'old-1', (o) => ({
      ...o,
      metadata: { ...o.metadata, annotations: { 'ambient.istio.io/redirection': 'enabled' } },
    }));
    assert.deepEqual(
      step(restarted, 'namespace/legacy').checks.flatMap((c) => (c.met ? [] : [c.text])),
      ['policies by what requests say name what they are for (targetRefs), or no waypoint heeds them: not get-only'],
    );
    const aimed = change(restarted, 'AuthorizationPolicy', 'get-only', (o) => ({
      ...o,
      spec: { ...(o['spec'] as object), targetRefs: [{ kind: 'Service', group: '', name: 'old' }] },
    }));
    assert.equal(isDone(step(aimed, 'namespace/legacy')), true);
  });

  test('an ambient namespace is done when its waypoint is told by the new istiod', () => {
    const labels = { 'istio.io/dataplane-mode': 'ambient', 'istio.io/rev': 'aquifer' };
    const moved = change(installed, 'Namespace', 'shop', (o) => labelled(o, labels));
    assert.match(step(moved, 'namespace/shop').checks.find((c) => !c.met)!.text, /now istiod\.istio-system\.svc:15012/);
    const made = change(moved, 'Deployment', 'waypoint', (o) =>
      JSON.parse(JSON.stringify(o).replace('istiod.istio-system', 'istiod-aquifer.istio-system')),
    );
    assert.equal(isDone(step(made, 'namespace/shop')), true);
  });

  test("Istio's istiod stays for gateways and sidecars, and goes when they are gone", () => {
    const held = step(installed, 'remove');
    assert.deepEqual(held.commands, []);
    assert.match(held.why, /not yet: .*Deployment istio-system\/ingress, sidecars in namespace legacy/);
    const free = installed.filter((o) => !['ingress', 'old-1'].includes(o.metadata.name));
    assert.deepEqual(step(free, 'remove').commands, [
      'kubectl -n istio-system delete deployment,service,hpa,pdb istiod --ignore-not-found',
      'kubectl delete mutatingwebhookconfiguration istio-sidecar-injector',
    ]);
    const gone = free.filter((o) => o.metadata.name !== 'istiod' && o.kind !== 'MutatingWebhookConfiguration');
    assert.equal(isDone(step(gone, 'remove')), true);
  });
});

test('of files: the plan, one step, one check', async () => {
  const all = await aquifer(['migrate', '-f', fixture]);
  assert.deepEqual([all.code, all.err], [0, '']);
  for (const line of [
    /^ {2}istiod +istio-system +istiod +1\.29\.1 +default +Istio$/m,
    /^ {2}namespaces, sidecar: legacy$/m,
    /^ {2}EnvoyFilter shop\/patch: EnvoyFilter: what istiod makes/m,
    /^ {2}value istiod: bogus=1: this chart has no such key$/m,
    /^ {2}value istiod: traceSampling=5: requests are not traced yet$/m,
    /^ {2}1\. root: .* \(done\)$/m,
    /"clusterDomain": "corp\.local"/,
    /"trustDomain": "example\.com"/,
    /^1 of 9 done; /m,
  ])
    assert.match(all.out, line);
  assert.doesNotMatch(all.out, /docker\.io.*"hub"|"discoveryAddress"/);
  const one = await aquifer(['migrate', '-f', fixture, '--step', 'istiod']);
  assert.match(
    one.out,
    /^3\. istiod: istiod of revision aquifer[\s\S]*helm upgrade --install istiod-aquifer \S+charts\/istiod -n istio-system/,
  );
  assert.equal((await aquifer(['migrate', '-f', fixture, '--check', '1'])).code, 0);
  const open = await aquifer(['migrate', '-f', fixture, '--check', 'ztunnel']);
  assert.equal(open.code, 1);
  assert.match(open.out, /^open +DaemonSet ztunnel of ours is not there\n/);
  const unknown = await aquifer(['migrate', '-f', fixture, '--check', 'x']);
  assert.deepEqual([unknown.code, unknown.out], [1, '']);
  assert.match(unknown.err, /there is no step "x"; there are 1 root, 2 definitions/);
});

test('of a cluster: the same as of its files', async () => {
  await using api = await startTestServer();
  const { kubeconfig } = api.server;
  const kube = createKubeClient({ access: loadKubeconfig(kubeconfig) });
  try {
    const none = await aquifer(['migrate'], { kubeconfig });
    assert.deepEqual([none.code, none.out], [1, '']);
    assert.match(
      none.err,
      /namespace istio-system: no istiod, ztunnel or CNI agent is there, nor elsewhere; .*aquifer install\n$/,
    );
    const how = { fieldManager: 'test', force: true };
    for (const definition of meshDefinitions()) await kube.apply(definition as unknown as NewObject, how);
    for (const object of installed) await kube.apply(object as unknown as NewObject, how);
    const { out, err, code } = await aquifer(['migrate', '-o', 'json'], { kubeconfig });
    assert.deepEqual([code, err], [0, 'reading the cluster\n']);
    const read = JSON.parse(out) as { parts: object[]; losses: unknown; steps: { id: string; done: boolean }[] };
    const files = JSON.parse((await aquifer(['migrate', '-f', fixture, '-o', 'json'])).out) as typeof read;
    // No node runs them there.
    const started = files.parts.map((p) => ({ ...p, isReady: false }));
    assert.deepEqual(read.parts, started);
    assert.deepEqual(read.losses, files.losses);
    assert.deepEqual(
      read.steps.filter((s) => s.done).map((s) => s.id),
      ['root', 'definitions'],
    );
  } finally {
    kube.close();
  }
});
