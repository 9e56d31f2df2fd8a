import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../../../common/testing/until.ts';
import {
  type Answer,
  type Ask,
  type Json,
  startTestServer,
  type TestClient,
  type TestServer,
} from '../../testing/client.ts';

let running: TestServer;
let client: TestClient;
before(async () => {
  running = await startTestServer();
  client = running.client;
});
after(() => running[Symbol.asyncDispose]());

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const inDefault = `${rbac}/namespaces/default`;
const apiVersion = 'rbac.authorization.k8s.io/v1';
const configMaps = '/api/v1/namespaces/default/configmaps';

async function post(path: string, body: object): Promise<Json> {
  const { code, json } = await client.ask(path, { method: 'POST', body });
  assert.equal(code, 201, JSON.stringify(json));
  return json;
}

/** As another user, by impersonation: what the user may do is decided as if it had come itself. */
function as(user: string, path: string, ask: Ask = {}, groups: readonly string[] = []): Promise<Answer> {
  const headers: Record<string, string> = { 'impersonate-user': user };
  if (groups.length > 0) headers['impersonate-group'] = groups[0]!;
  return client.ask(path, { ...ask, headers: { ...ask.headers, ...headers } });
}

const role = (name: string, ...rules: object[]) => ({ apiVersion, kind: 'Role', metadata: { name }, rules });
const clusterRole = (name: string, ...rules: object[]) => ({
  apiVersion,
  kind: 'ClusterRole',
  metadata: { name },
  rules,
});
const bind = (kind: 'RoleBinding' | 'ClusterRoleBinding', name: string, ref: string, ...users: string[]) => {
  const [refKind = '', refName = ''] = ref.split('/');
  const subjects = users.map((u) => ({ kind: 'User', name: u }));
  return { apiVersion, kind, metadata: { name }, subjects, roleRef: { kind: refKind, name: refName } };
};
const rule = (verbs: string[], resources: string[], more: object = {}) => ({
  verbs,
  apiGroups: [''],
  resources,
  ...more,
});

function assertForbidden({ code, json }: Answer, message: RegExp): void {
  assert.deepEqual(
    [code, json.kind, json.status, json.reason, json.code],
    [403, 'Status', 'Failure', 'Forbidden', 403],
  );
  assert.match(json.message, message);
}

describe('enforcement', () => {
  test('nobody may do anything that no role says, and hears why in the words of Kubernetes', async () => {
    const refused = await as('alice', `${configMaps}?limit=1`);
    assertForbidden(
      refused,
      /^configmaps is forbidden: User "alice" cannot list resource "configmaps" in API group "" in the namespace "default"$/,
    );
    assert.deepEqual(refused.json.details, { kind: 'configmaps' });
    assertForbidden(
      await as('alice', '/api/v1/nodes/n'),
      /^nodes "n" is forbidden: User "alice" cannot get resource "nodes" in API group "" at the cluster scope$/,
    );
    assertForbidden(await as('alice', '/metrics'), /^forbidden: User "alice" cannot get path "\/metrics"$/);
    assertForbidden(await as('alice', '/apis/none.example/v1/things'), /cannot list resource "things"/);
  });

  test('a role holds at once when its binding is there, in its namespace, and no longer than it', async () => {
    await post(`${inDefault}/roles`, role('reader', rule(['get', 'list'], ['configmaps'])));
    await post(`${inDefault}/rolebindings`, bind('RoleBinding', 'readers', 'Role/reader', 'bob'));
    assert.equal((await as('bob', configMaps)).code, 200);
    assertForbidden(await as('bob', '/api/v1/namespaces/kube-system/configmaps'), /in the namespace "kube-system"/);
    assertForbidden(await as('bob', '/api/v1/configmaps'), /at the cluster scope/);
    assertForbidden(await as('bob', configMaps, { method: 'POST', body: {} }), /cannot create/);
    await client.ask(`${inDefault}/rolebindings/readers`, { method: 'DELETE' });
    assertForbidden(await as('bob', configMaps), /cannot list/);
  });

  test('names, subresources, and a role that is not there', async () => {
    await post(
      `${inDefault}/roles`,
      role('one', rule(['get', 'list', 'watch', 'update'], ['configmaps'], { resourceNames: ['mine'] })),
    );
    await post(`${inDefault}/rolebindings`, bind('RoleBinding', 'one', 'Role/one', 'carol'));
    assert.equal((await as('carol', `${configMaps}/mine`)).code, 404);
    assertForbidden(await as('carol', `${configMaps}/other`), /"other" is forbidden/);
    assertForbidden(await as('carol', configMaps), /cannot list/);
    assert.equal((await as('carol', `${configMaps}?fieldSelector=metadata.name%3Dmine`)).code, 200);
    const two = 'fieldSelector=metadata.name%3Dmine,metadata.name%3Dother';
    assertForbidden(await as('carol', `${configMaps}?${two}`), /cannot list/);
    await post(`${inDefault}/rolebindings`, bind('RoleBinding', 'lost', 'Role/none', 'dave'));
    assertForbidden(await as('dave', configMaps), /: RBAC: role.rbac.authorization.k8s.io "none" not found$/);
  });

  test('service accounts and groups are subjects', async () => {
    const subjects = [
      { kind: 'ServiceAccount', name: 'robot', namespace: 'kube-system' },
      { kind: 'Group', name: 'crew' },
    ];
    await post(`${inDefault}/rolebindings`, { ...bind('RoleBinding', 'robots', 'ClusterRole/view'), subjects });
    assert.equal((await as('system:serviceaccount:kube-system:robot', configMaps)).code, 200);
    assert.equal((await as('system:serviceaccount:default:robot', configMaps)).code, 403);
    assert.equal((await as('erin', configMaps, {}, ['crew'])).code, 200);
    assert.equal((await as('erin', configMaps, {}, ['cre'])).code, 403);
  });

  test('an apply that creates is a creation too', async () => {
    await post(`${inDefault}/roles`, role('patcher', rule(['patch'], ['configmaps'])));
    await post(`${inDefault}/rolebindings`, bind('RoleBinding', 'patcher', 'Role/patcher', 'frank'));
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied' } };
    const apply = { method: 'PATCH', type: 'application/apply-patch+yaml', body };
    assertForbidden(await as('frank', `${configMaps}/applied?fieldManager=m`, apply), /cannot create/);
    await client.ask(configMaps, { method: 'POST', body });
    assert.equal((await as('frank', `${configMaps}/applied?fieldManager=m`, apply)).code, 200);
  });

  test('discovery is for the authenticated, health and version for everybody', async () => {
    const anonymous = { headers: { authorization: '' } };
    for (const path of ['/healthz', '/readyz', '/livez', '/version']) {
      assert.equal((await client.ask(path, anonymous)).code, 200, path);
    }
    assertForbidden(await client.ask('/api', anonymous), /User "system:anonymous" cannot get path "\/api"/);
    for (const path of ['/api', '/apis', '/apis/apps/v1', '/openapi/v2', '/openapi/v3/api/v1']) {
      assert.equal((await as('alice', path)).code, 200, path);
    }
    assert.equal((await as('alice', '/openid/v1/jwks')).code, 403);
    assert.equal((await as('system:serviceaccount:default:x', '/openid/v1/jwks')).code, 200);
  });
});

describe('roles that every cluster has', () => {
  test('admin, edit and view gather the rules of labelled roles, also of later ones', async () => {
    await post(`${inDefault}/rolebindings`, bind('RoleBinding', 'viewer', 'ClusterRole/view', 'viewer'));
    await post(`${inDefault}/rolebindings`, bind('RoleBinding', 'editor', 'ClusterRole/edit', 'editor'));
    assert.equal((await as('viewer', '/api/v1/namespaces/default/secrets')).code, 403);
    assert.equal((await as('editor', '/api/v1/namespaces/default/secrets')).code, 200);
    assert.equal((await as('editor', `${inDefault}/roles`)).code, 403);
    const widgets = { verbs: ['get'], apiGroups: ['example.com'], resources: ['widgets'] };
    const labels = { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' };
    await post(`${rbac}/clusterroles`, { ...clusterRole('widgets', widgets), metadata: { name: 'widgets', labels } });
    const has = async (name: string) =>
      (await client.ask(`${rbac}/clusterroles/${name}`)).json.rules.some((r: Json) => r.resources?.includes('widgets'));
    await until(
      'the rules are gathered',
      async () => (await has('view')) && (await has('edit')) && (await has('admin')),
    );
    await client.ask(`${rbac}/clusterroles/widgets`, { method: 'DELETE' });
    await until('they are gone', async () => !((await has('view')) || (await has('edit')) || (await has('admin'))));
  });

  test('come back whole after a restart, unless they say otherwise', async () => {
    const own = await startTestServer();
    const path = `${rbac}/clusterroles/system:basic-user`;
    const set = (at: string, body: object) =>
      own.client.ask(at, { method: 'PATCH', type: 'application/merge-patch+json', body });
    await set(path, { rules: [rule(['get'], ['pods'])] });
    const off = { metadata: { annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'false' } }, rules: [] };
    await set(`${rbac}/clusterroles/system:discovery`, off);
    await own.client.ask(`${rbac}/clusterrolebindings/system:basic-user`, { method: 'DELETE' });
    await own.server.stop();
    const again = await startTestServer(own.dataDir);
    const rules = (await again.client.ask(path)).json.rules;
    const discovery = (await again.client.ask(`${rbac}/clusterroles/system:discovery`)).json.rules;
    const binding = await again.client.ask(`${rbac}/clusterrolebindings/system:basic-user`);
    await again[Symbol.asyncDispose]();
    own.client.close();
    assert.ok(rules.some((r: Json) => r.resources.includes('pods')));
    assert.ok(rules.some((r: Json) => r.resources.includes('selfsubjectreviews')));
    assert.deepEqual(discovery, []);
    assert.equal(binding.code, 200);
  });
});

describe('nobody grants more than they hold', () => {
  before(async () => {
    await post(`${inDefault}/rolebindings`, bind('RoleBinding', 'boss', 'ClusterRole/admin', 'boss'));
    await post(
      `${rbac}/clusterroles`,
      clusterRole('rbac-writer', {
        verbs: ['*'],
        apiGroups: ['rbac.authorization.k8s.io'],
        resources: ['clusterroles', 'clusterrolebindings', 'roles', 'rolebindings'],
        resourceNames: [],
      }),
    );
    // `*` is escalate and bind too.
    await post(
      `${rbac}/clusterroles`,
      clusterRole('careful-writer', {
        verbs: ['create', 'get', 'update', 'patch', 'delete'],
        apiGroups: ['rbac.authorization.k8s.io'],
        resources: ['clusterroles', 'clusterrolebindings', 'roles', 'rolebindings'],
      }),
    );
    await post(
      `${rbac}/clusterrolebindings`,
      bind('ClusterRoleBinding', 'careful', 'ClusterRole/careful-writer', 'careful'),
    );
    await post(
      `${rbac}/clusterrolebindings`,
      bind('ClusterRoleBinding', 'writer', 'ClusterRole/rbac-writer', 'writer'),
    );
  });

  const create = (user: string, path: string, body: object) => as(user, path, { method: 'POST', body });

  test('by a role', async () => {
    assert.equal((await create('boss', `${inDefault}/roles`, role('fine', rule(['get'], ['secrets'])))).code, 201);
    assertForbidden(
      await create('boss', `${inDefault}/roles`, role('more', rule(['get'], ['nodes']))),
      /^roles.rbac.authorization.k8s.io "more" is forbidden: user "boss" \(groups=\["system:authenticated"\]\) is attempting to grant RBAC permissions not currently held:\n\{APIGroups:\[""\], Resources:\["nodes"\], Verbs:\["get"\]\}$/,
    );
    assertForbidden(
      await create('boss', `${inDefault}/roles`, role('more', rule(['*'], ['secrets']))),
      /Verbs:\["\*"\]/,
    );
    const raised = { method: 'PATCH', type: 'application/merge-patch+json', body: { rules: [rule(['*'], ['*'])] } };
    assertForbidden(await as('boss', `${inDefault}/roles/fine`, raised), /not currently held/);
    const labelled = { ...raised, body: { metadata: { labels: { a: 'b' } } } };
    assert.equal((await as('boss', `${inDefault}/roles/fine`, labelled)).code, 200);
    const huge = Array.from({ length: 400 }, (_, i) => `r${i}`);
    assertForbidden(await create('boss', `${inDefault}/roles`, role('huge', rule(huge, huge))), /100000/);
  });

  test('by a binding', async () => {
    assert.equal(
      (await create('boss', `${inDefault}/rolebindings`, bind('RoleBinding', 'ok', 'ClusterRole/view', 'friend'))).code,
      201,
    );
    assertForbidden(
      await create(
        'boss',
        `${inDefault}/rolebindings`,
        bind('RoleBinding', 'all', 'ClusterRole/cluster-admin', 'boss'),
      ),
      /not currently held/,
    );
    const missing = await create(
      'boss',
      `${inDefault}/rolebindings`,
      bind('RoleBinding', 'gone', 'Role/not-there', 'boss'),
    );
    assert.deepEqual(
      [missing.code, missing.json.message],
      [404, 'roles.rbac.authorization.k8s.io "not-there" not found'],
    );
    const subjects = {
      method: 'PATCH',
      type: 'application/merge-patch+json',
      body: { subjects: [{ kind: 'User', name: 'careful', apiGroup: 'rbac.authorization.k8s.io' }] },
    };
    assertForbidden(await as('careful', `${rbac}/clusterrolebindings/cluster-admin`, subjects), /not currently held/);
    assertForbidden(
      await create(
        'careful',
        `${rbac}/clusterrolebindings`,
        bind('ClusterRoleBinding', 'up', 'ClusterRole/cluster-admin', 'careful'),
      ),
      /not currently held/,
    );
  });

  test('by an aggregation', async () => {
    const body = { ...clusterRole('gather'), aggregationRule: { clusterRoleSelectors: [{}] } };
    assertForbidden(
      await create('careful', `${rbac}/clusterroles`, body),
      /must have cluster-admin privileges to use the aggregationRule/,
    );
  });

  test('but for those who may escalate and bind', async () => {
    assert.equal((await create('writer', `${rbac}/clusterroles`, clusterRole('any', rule(['*'], ['*'])))).code, 201);
    assert.equal(
      (await create('writer', `${rbac}/clusterrolebindings`, bind('ClusterRoleBinding', 'any', 'ClusterRole/any', 'x')))
        .code,
      201,
    );
  });
});

describe('what roles and bindings may be', () => {
  test('refusals name the field', async () => {
    const cases: readonly [string, object, RegExp][] = [
      [
        `${inDefault}/roles`,
        role('r', { verbs: ['get'], nonResourceURLs: ['/x'] }),
        /rules\[0\].nonResourceURLs: .*namespaced rules cannot/,
      ],
      [`${inDefault}/roles`, role('r', { verbs: ['get'], apiGroups: [''] }), /rules\[0\].resources: Required/],
      [`${inDefault}/roles`, role('r', rule([], ['pods'])), /rules\[0\].verbs: Required/],
      [
        `${rbac}/clusterroles`,
        clusterRole('r', { ...rule(['get'], ['pods']), nonResourceURLs: ['/x'] }),
        /cannot apply to both/,
      ],
      [`${rbac}/clusterrolebindings`, bind('ClusterRoleBinding', 'b', 'Role/x', 'u'), /roleRef.kind: Unsupported/],
      [
        `${rbac}/clusterrolebindings`,
        { ...bind('ClusterRoleBinding', 'b', 'ClusterRole/x'), subjects: [{ kind: 'ServiceAccount', name: 'x' }] },
        /subjects\[0\].namespace: Required/,
      ],
    ];
    for (const [path, body, message] of cases) {
      const { code, json } = await client.ask(path, { method: 'POST', body });
      assert.equal(code, 422, JSON.stringify(json));
      assert.match(json.message, message);
    }
  });

  test('a binding stays with its role, and groups are filled in', async () => {
    const made = await post(`${inDefault}/rolebindings`, bind('RoleBinding', 'stays', 'ClusterRole/view', 'u'));
    assert.equal(made.roleRef.apiGroup, 'rbac.authorization.k8s.io');
    assert.equal(made.subjects[0].apiGroup, 'rbac.authorization.k8s.io');
    const body = { ...made, roleRef: { ...made.roleRef, name: 'edit' } };
    const { code, json } = await client.ask(`${inDefault}/rolebindings/stays`, { method: 'PUT', body });
    assert.equal(code, 422);
    assert.match(json.message, /cannot change roleRef/);
  });
});

describe('reviews', () => {
  const reviews = '/apis/authorization.k8s.io/v1';
  const ask = (kind: string, spec: object, user?: string, path = `${reviews}/${kind.toLowerCase()}s`) => {
    const request = { method: 'POST', body: { apiVersion: 'authorization.k8s.io/v1', kind, spec } };
    return user === undefined ? client.ask(path, request) : as(user, path, request);
  };
  const list = { verb: 'list', resource: 'configmaps', namespace: 'default' };

  test('of others, by those who may ask', async () => {
    await post(`${inDefault}/rolebindings`, bind('RoleBinding', 'asked', 'ClusterRole/view', 'gina'));
    const yes = await ask('SubjectAccessReview', { user: 'gina', resourceAttributes: list });
    assert.deepEqual([yes.code, yes.json.status.allowed], [201, true]);
    assert.match(yes.json.status.reason, /RBAC: allowed by RoleBinding "asked\/default" of ClusterRole "view"/);
    const no = await ask('SubjectAccessReview', { user: 'gina', resourceAttributes: { ...list, verb: 'delete' } });
    assert.equal(no.json.status.allowed, false);
    const path = await ask('SubjectAccessReview', {
      user: 'g',
      groups: ['system:authenticated'],
      nonResourceAttributes: { path: '/api/', verb: 'get' },
    });
    assert.equal(path.json.status.allowed, true);
    assert.equal((await ask('SubjectAccessReview', { user: 'gina', resourceAttributes: list }, 'gina')).code, 403);
    const local = `${reviews}/namespaces/default/localsubjectaccessreviews`;
    const here = await ask('LocalSubjectAccessReview', { user: 'gina', resourceAttributes: list }, undefined, local);
    assert.equal(here.json.status.allowed, true);
    const elsewhere = { user: 'gina', resourceAttributes: { ...list, namespace: 'kube-system' } };
    assert.equal((await ask('LocalSubjectAccessReview', elsewhere, undefined, local)).code, 422);
  });

  test('of oneself, by everybody', async () => {
    const own = await ask('SelfSubjectAccessReview', { resourceAttributes: list }, 'nobody');
    assert.deepEqual([own.code, own.json.status], [201, { allowed: false }]);
    const rules = await ask('SelfSubjectRulesReview', { namespace: 'default' }, 'nobody');
    assert.equal(rules.json.status.incomplete, false);
    assert.ok(rules.json.status.nonResourceRules.some((r: Json) => r.nonResourceURLs.includes('/healthz')));
    const anonymous = await client.ask(`${reviews}/selfsubjectaccessreviews`, {
      method: 'POST',
      body: {},
      headers: { authorization: '' },
    });
    assert.equal(anonymous.code, 403);
  });

  test('that ask nothing, or two things', async () => {
    const both = { resourceAttributes: list, nonResourceAttributes: { path: '/', verb: 'get' } };
    for (const spec of [{ user: 'x' }, { user: 'x', ...both }, { resourceAttributes: list }, { user: 1 }]) {
      assert.equal((await ask('SubjectAccessReview', spec)).code, 422, JSON.stringify(spec));
    }
    assert.equal((await ask('SelfSubjectRulesReview', {})).code, 400);
    assert.equal((await client.ask(`${reviews}/subjectaccessreviews`)).code, 405);
  });
});
