/** Every command where nobody answers: one line that says who, an exit code as istioctl's, and nothing that looks like an answer. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { describeError, MeshError } from '../common/core/errors.ts';
import { createKubeClient } from '../common/kube/client/client.ts';
import { loadKubeconfig } from '../common/kube/client/kubeconfig.ts';
import { deploymentKind } from '../common/kube/kinds/apps.ts';
import { namespaceKind, podKind } from '../common/kube/kinds/core.ts';
import { startTestServer, type TestServer } from '../istiod/apiserver/testing/client.ts';
import { absent, absentOptions } from './absent.ts';
import { UsageError } from './arguments.ts';
import { root } from './commands.ts';
import { takesValue } from './connection-options.ts';
import { findVerb, type Verb } from './grammar.ts';
import { aquifer } from './testing/run.ts';

/** Command -> what it is asked, and what it says where the API server answers and no istiod does; false: it needs none. */
const online: Readonly<Record<string, readonly [words: string, withoutIstiod: RegExp | false]>> = {
  analyze: ['analyze', false],
  'bug-report': ['bug-report --output-dir OUT', false],
  ca: ['ca status', false],
  check: ['check', false],
  'dashboard console': ['dashboard console', /istiod/],
  'dashboard istiod-debug': ['dashboard istiod-debug', /istiod/],
  'dashboard proxy': ['dashboard proxy p.shop', /pod shop\/p/],
  'dashboard ztunnel': ['dashboard ztunnel', /ztunnel/],
  'experimental authz check': ['x authz check p.shop', /pod shop\/p|ztunnel/],
  'experimental describe pod': ['x describe pod p.shop', false],
  'experimental describe service': ['x describe svc s.shop', /service shop\/s|Service shop\/s/],
  'create-remote-secret': ['create-remote-secret --name east', /account|Secret|ServiceAccount/],
  'experimental internal-debug': ['x internal-debug syncz', /no istiod runs/],
  'experimental precheck': ['x precheck', false],
  'experimental proxy-status': ['x proxy-status', /no istiod runs/],
  'experimental version': ['x version', /no istiod runs/],
  'remote-clusters': ['remote-clusters', /no istiod runs/],
  migrate: ['migrate', /no istiod/],
  'proxy-status': ['proxy-status', /no istiod runs in namespace istio-system/],
  'tag generate': ['tag generate t -r r', /has no Service of an istiod/],
  'tag list': ['tag list', false],
  'tag remove': ['tag remove t', /tag t: there is no Service/],
  'tag set': ['tag set t -r r', /has no Service of an istiod/],
  tap: ['tap', /ztunnel/],
  version: ['version', /no istiod runs in namespace istio-system/],
  wait: ['wait --for=programmed ap/x --timeout 1s', /authorizationpolicies|AuthorizationPolicy/i],
  'waypoint apply': ['waypoint apply -n shop --enroll-namespace', false],
  'waypoint delete': ['waypoint delete -n shop w', false],
  'waypoint list': ['waypoint list -n shop', false],
  'waypoint status': ['waypoint status -n shop', false],
  why: ['why shop/a shop/b:80', /shop\/a|source/],
  'proxy-config rootca-compare': ['proxy-config rootca-compare p.shop p.shop', /shop\/p/],
  ...Object.fromEntries(
    ['all', 'bootstrap', 'cluster', 'endpoint', 'listener', 'log', 'route', 'secret'].map((verb) => [
      `proxy-config ${verb}`,
      [`proxy-config ${verb} p.shop`, /shop\/p/] as const,
    ]),
  ),
  ...Object.fromEntries(
    ['all', 'certificate', 'connections', 'log', 'policy', 'service', 'workload'].map((verb) => [
      `ztunnel-config ${verb}`,
      [`ztunnel-config ${verb}`, /ztunnel/] as const,
    ]),
  ),
};
/** They ask no cluster, or leave that to helm, or are about labs. */
const offline = [
  ...['bash', 'fish', 'powershell', 'zsh'].map((shell) => `completion ${shell}`),
  ...['crds', 'filter test', 'install', 'lab', 'manifest generate', 'uninstall', 'validate', 'waypoint generate'],
];

function leaves(verb: Verb, path: readonly string[] = []): readonly string[] {
  const below = Object.entries(verb.verbs ?? {}).flatMap(([name, v]) => leaves(v, [...path, name]));
  return verb.load === undefined || below.length > 0 ? below : [path.join(' ')];
}

interface Said {
  /** undefined: it was told on the way. */
  readonly error: string | undefined;
  readonly code: number;
}

/** In this process: forty others take their time. */
async function ask(words: string, kubeconfig: string, folder: string): Promise<Said> {
  process.env['KUBECONFIG'] = kubeconfig;
  const { verb, args } = findVerb(root, words.replace('OUT', folder).split(' '), takesValue);
  const { run } = await verb.load!();
  try {
    return { code: await run(args), error: undefined };
  } catch (e) {
    assert.ok(e instanceof MeshError, String(e));
    return { code: 1, error: describeError(e) };
  }
}

test("istioctl's commands that are not there say why, and are not there", () => {
  const all = new Set(
    leaves(root).flatMap((leaf) => leaf.split(' ').map((_, i, words) => words.slice(0, i + 1).join(' '))),
  );
  for (const [command, reason] of Object.entries(absent)) {
    assert.ok(!all.has(command), command);
    assert.throws(
      () => findVerb(root, command.split(' '), takesValue),
      (e) => e instanceof UsageError && e.message.includes(reason),
    );
  }
});

test('options of istioctl that are not there say why, and are not there', async () => {
  const taken = (verb: Verb): readonly string[] => [
    ...Object.keys(verb.options ?? {}),
    ...Object.values(verb.verbs ?? {}).flatMap(taken),
  ];
  assert.deepEqual(
    taken(root).filter((name) => name in absentOptions),
    [],
  );
  const { code, err } = await aquifer(['proxy-status', '--xds-address', 'x:1']);
  assert.deepEqual([code, err.includes('through the API server')], [64, true], err);
});

describe('where nobody answers', () => {
  let folder: string;
  let server: TestServer;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aquifer-dead-'));
    server = await startTestServer();
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });
  test('each command is one of these', () => {
    assert.deepEqual([...Object.keys(online), ...offline].sort(), [...leaves(root)].sort());
  });

  test('the API server is away', async () => {
    const kubeconfig = join(folder, 'config');
    const cluster = { server: 'https://127.0.0.1:1' };
    const config = {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user: { token: 't' } }],
    };
    await writeFile(kubeconfig, JSON.stringify(config));
    for (const [name, [words]] of Object.entries(online)) {
      const { code, error } = await ask(words, kubeconfig, folder);
      assert.equal(code, 1, name);
      // That one is a report of what is wrong, so it is its answer.
      if (name !== 'check' && name !== 'experimental precheck')
        assert.match(error ?? '', /^[^\n]*127\.0\.0\.1:1[^\n]*$/, name);
    }
    const { code, out, err } = await aquifer(['proxy-status'], { kubeconfig });
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /^aquifer: [^\n]*127\.0\.0\.1:1[^\n]*\n$/);
  });

  test('the API server answers, and no part of the mesh runs', async () => {
    const { kubeconfig } = server.server;
    const kube = createKubeClient({ access: loadKubeconfig(kubeconfig) });
    try {
      for (const name of ['istio-system', 'shop'])
        await kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      assert.deepEqual((await kube.list(deploymentKind, new AbortController().signal)).items, []);
      assert.deepEqual((await kube.list(podKind, new AbortController().signal)).items, []);
      for (const [name, [words, expected]] of Object.entries(online)) {
        if (expected === false) continue;
        const { code, error } = await ask(words, kubeconfig, folder);
        assert.equal(code, 1, name);
        if (name !== 'wait') assert.match(error ?? '', expected, name);
        assert.doesNotMatch(error ?? '', /\n/, name);
      }
    } finally {
      kube.close();
    }
  });
});
