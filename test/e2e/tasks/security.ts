/** Istio's tasks of security, at a waypoint: tokens, who may do what, an authorizer of one's own, dry run, and the way to mTLS. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../../../common/testing/until.ts';
import { forgeries, jwks, token, unacceptable } from '../../../waypoint/testing/tokens.ts';
import { checkout, patience, type Shop } from '../shop.ts';

const issuer = 'testing@secure.istio.io';
const claims = { iss: issuer, sub: issuer, groups: ['group1', 'group2'], exp: 4_000_000_000 };
const target = "targetRefs: [{ group: '', kind: Service, name: web }]";
const authentication = (more = '') => `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: jwt, namespace: shop }
spec: { ${target}, jwtRules: [{ issuer: ${issuer}, jwks: '${jwks()}'${more} }] }
---`;
const policy = (name: string, spec: string, more = '') => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: shop${more} }
spec: { ${target}, ${spec} }
---`;
const url = 'http://web';
const bearer = (text: string) => ['-H', `Authorization: Bearer ${text}`];

const authorizer = `
apiVersion: v1
kind: Service
metadata: { name: authorizer, namespace: shop }
spec: { selector: { name: authorizer }, ports: [{ name: grpc, port: 9000, targetPort: 8080 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: authorizer, namespace: shop }
spec:
  selector: { matchLabels: { name: authorizer } }
  template:
    metadata: { labels: { name: authorizer } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: aquifer/echo
          command: ${JSON.stringify([join(checkout, 'scripts/pinned-node'), join(checkout, 'test/e2e/tools/authorizer.ts')])}
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    extensionProviders:
    - name: authorizer
      envoyExtAuthzGrpc: { service: authorizer.shop.svc.cluster.local, port: 9000 }
`;

export function securityTasks(shop: () => Shop): void {
  const during = async (objects: string, work: () => Promise<void>) => {
    await shop().apply(objects);
    try {
      await work();
    } finally {
      await shop().delete(objects);
    }
    await becomes('without them', [url], 200);
  };
  const statusOf = async (from: string, ...args: readonly string[]) => (await shop().curl(from, args)).status;
  const becomes = (what: string, args: readonly string[], status: number, from = 'client') =>
    shop().until(what, from, args, (a) => a.status === status);

  test('task: end-user authentication, and a token for one path', () =>
    during(
      authentication() +
        policy(
          'for-ip',
          "action: DENY, rules: [{ from: [{ source: { notRequestPrincipals: ['*'] } }], to: [{ operation: { paths: [/ip] } }] }]",
        ),
      async () => {
        await becomes('a bad token is refused', [...bearer('deadbeef'), url], 401);
        await becomes('no token, no /ip', [`${url}/ip`], 403);
        assert.equal(await statusOf('client', url), 200);
        assert.equal(await statusOf('client', ...bearer(token(claims)), `${url}/ip`), 200);
      },
    ));

  test('task: tokens by group; forged ones are refused, all of them', async (t) => {
    const rules = `[{ from: [{ source: { requestPrincipals: ['${issuer}/${issuer}'] } }], when: [{ key: 'request.auth.claims[groups]', values: [group1] }] }]`;
    await during(authentication() + policy('group', `action: ALLOW, rules: ${rules}`), async () => {
      await becomes('without a token', [url], 403);
      assert.equal(await statusOf('client', ...bearer(token(claims)), url), 200);
      assert.equal(await statusOf('client', ...bearer(token({ ...claims, groups: ['group2'] })), url), 403);
      const forged = [...forgeries(claims), ...unacceptable(claims)];
      for (const { name, token: text } of forged) {
        const status = await statusOf('client', ...bearer(text), url);
        assert.ok(status === 401 || status === 403, `${name}: ${status}`);
      }
      t.diagnostic(`${forged.length} forged tokens, 0 accepted`);
    });
  });

  test('task: claims to headers, and routes by claims', async () => {
    const routes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: shop }
spec:
  hosts: [web]
  http:
    - match: [{ headers: { '@request.auth.claims.groups': { exact: group1 } } }]
      route: [{ destination: { host: web-v2 } }]
    - route: [{ destination: { host: web-v1 } }]
---`;
    await during(
      authentication(', outputClaimToHeaders: [{ header: x-jwt-sub, claim: sub }], forwardOriginalToken: true') +
        routes,
      async () => {
        const good = [...bearer(token(claims)), '-H', 'x-jwt-sub: forged', url];
        const { echo } = await shop().until('the claim chooses', 'client', good, (a) => a.isFrom('web-v2'));
        assert.equal(echo?.headers['x-jwt-sub'], issuer);
        assert.ok((await shop().curl('client', [...bearer(token({ ...claims, groups: [] })), url])).isFrom('web-v1'));
      },
    );
  });

  test('task: HTTP traffic: nobody, then readers, then one who writes', () =>
    during(policy('allow-nothing', ''), async () => {
      await becomes('nobody', [url], 403);
      const viewer = policy('viewer', 'action: ALLOW, rules: [{ to: [{ operation: { methods: [GET] } }] }]');
      const writer = policy(
        'writer',
        'action: ALLOW, rules: [{ from: [{ source: { principals: [cluster.local/ns/shop/sa/client] } }], to: [{ operation: { methods: [POST] } }] }]',
      );
      await shop().apply(viewer + writer);
      await becomes('readers', [url], 200, 'stranger');
      await becomes('who writes', ['-X', 'POST', url], 200);
      assert.equal(await statusOf('stranger', '-X', 'POST', url), 403);
      await shop().delete(viewer + writer);
    }));

  test('task: explicit deny, by header and path', () =>
    during(
      policy(
        'deny-get',
        "action: DENY, rules: [{ to: [{ operation: { methods: [GET] } }], when: [{ key: 'request.headers[x-token]', notValues: [admin] }] }]",
      ) + policy('not-admin', 'action: DENY, rules: [{ to: [{ operation: { paths: [/admin*] } }] }]'),
      async () => {
        await becomes('without the header', [url], 403);
        await becomes('with it', ['-H', 'x-token: admin', url], 200);
        await becomes('but not there', ['-H', 'x-token: admin', `${url}/admin/x`], 403);
      },
    ));

  test('task: dry run, foretold and without effect', () =>
    during(
      policy(
        'trial',
        'action: DENY, rules: [{ to: [{ operation: { paths: [/headers] } }] }]',
        ", annotations: { istio.io/dry-run: 'true' }",
      ),
      async () => {
        const told = await until(
          'why knows it',
          async () => {
            const text = await shop().aquifer('why', 'deploy/shop/client', 'web.shop:80', '--path', '/headers');
            return text.includes('dry run') ? text : undefined;
          },
          patience,
        );
        assert.match(
          told,
          /dry run: DENY policy ns\[shop\]-policy\[trial\]-rule\[0\]\S* matches, so it would be refused/,
        );
        assert.equal(await statusOf('client', `${url}/headers`), 200);
      },
    ));

  test("task: an authorizer of one's own", async () => {
    const mesh = `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    extensionProviders:
    - name: decider
      envoyExtAuthzHttp: { service: decider.shop.svc.cluster.local, port: 80, pathPrefix: /check, includeRequestHeadersInCheck: [x-ext-authz], headersToDownstreamOnDeny: [x-decided] }
`;
    await shop().apply(mesh);
    await during(
      policy(
        'ask',
        'action: CUSTOM, provider: { name: decider }, rules: [{ to: [{ operation: { paths: [/headers] } }] }]',
      ),
      async () => {
        const answer = await shop().until(
          'it is denied',
          'client',
          ['-H', 'x-ext-authz: deny', `${url}/headers`],
          (a) => a.text === 'denied by the decider',
        );
        assert.equal(answer.status, 403);
        assert.equal(await statusOf('client', '-H', 'x-ext-authz: allow', `${url}/headers`), 200);
        assert.equal(await statusOf('client', `${url}/elsewhere`), 200);
      },
    );
  });

  test("task: an authorizer of one's own, by gRPC, and closed without it", async () => {
    await shop().apply(authorizer);
    await shop().kubectl(['rollout', 'status', 'deploy/authorizer', '--timeout=60s']);
    await during(
      policy(
        'ask',
        'action: CUSTOM, provider: { name: authorizer }, rules: [{ to: [{ operation: { paths: [/headers] } }] }]',
      ),
      async () => {
        const allowed = ['-H', 'x-ext-authz: allow', `${url}/headers`];
        const answer = await shop().until('it is allowed', 'client', allowed, (a) =>
          Boolean(a.echo?.headers['x-authorized']),
        );
        assert.equal(answer.echo?.headers['x-authorized'], '/headers');
        const denied = await shop().curl('client', ['-H', 'x-ext-authz: deny', `${url}/headers`]);
        assert.deepEqual([denied.status, denied.text], [403, 'denied by the authorizer']);
        assert.equal(await statusOf('client', `${url}/elsewhere`), 200);
        await shop().kubectl(['scale', 'deploy/authorizer', '--replicas=0']);
        const closed = await shop().until('it is closed', 'client', allowed, (a) => a.status !== 200);
        assert.equal(closed.status, 403);
        assert.equal(await statusOf('client', `${url}/elsewhere`), 200);
      },
    );
    await shop().delete(authorizer);
  });

  test('task: migration to mTLS: plain text ends, the mesh goes on', async () => {
    const strict = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
`;
    const [ip] = await shop().ipsOf('web-v1');
    const plain = [`http://${ip}:8080/`];
    await becomes('plain text passes', plain, 200, 'legacy/client');
    await during(strict, async () => {
      await becomes('plain text ends', plain, 0, 'legacy/client');
      assert.equal(await statusOf('client', url), 200);
      assert.equal(await statusOf('client', ...plain), 200);
    });
    await becomes('plain text passes again', plain, 200, 'legacy/client');
  });

  test('who refuses, in a header where the Gateway asks for it', async () => {
    await shop().kubectl(['annotate', 'gtw', 'waypoint', 'aquifer.dev/denial-details=true']);
    await during(policy('nobody', 'action: ALLOW, rules: [{ to: [{ operation: { methods: [PUT] } }] }]'), async () => {
      const told = await shop().until('it is told', 'client', ['-i', url], (a) =>
        a.text.includes('x-aquifer-denied-by'),
      );
      assert.match(
        told.text,
        /x-aquifer-denied-by: rbac_access_denied_matched_policy\[none\]_of\[ns\[shop\]-policy\[nobody\]-rule\[0\]-generation\[1\]\]/i,
      );
    });
    await shop().kubectl(['annotate', 'gtw', 'waypoint', 'aquifer.dev/denial-details-']);
  });
}
