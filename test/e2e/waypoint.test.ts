/**
 * A waypoint from its Gateway to its end, run by each engine: istiod makes it, node proxies send through it, routes and L7 policy hold at it,
 * and what identities it tells apart are those of the callers.
 */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { until } from '../../common/testing/until.ts';
import { type ExecResult, Lab, type LabApi } from '../../lab/index.ts';
import { ClientProgram } from '../harness/client-program.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { goProgramPath, skipWithoutGoPrograms } from '../harness/go-programs.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';
import { labName } from '../harness/lab-name.ts';
import { Pace, type PaceLoad, paceArguments, paceProgram } from '../harness/pace.ts';
import { skipUnless } from '../harness/require.ts';

/** What runs as the waypoint. */
const engines = [
  { name: 'a stock Envoy', lab: 'wpenvoy', image: 'istio/proxyv2', skip: skipWithoutEnvoy() },
  { name: 'our own', lab: 'wpours', image: 'aquifer/waypoint', skip: false },
] as const;

const patience = 60_000;
/** Of test/grpc-interop. */
const interopCases = 14;
/** Of test/e2e/tools/websocket.ts. */
const websocketCases = 46;
const checkout = join(import.meta.dirname, '../..');
const websocket = [join(checkout, 'scripts/pinned-node'), join(checkout, 'test/e2e/tools/websocket.ts')];

for (const engine of engines) {
  const skip = engine.skip || skipWithoutKubectl() || skipUnless('ebpf', 'program:ip', 'program:nft');
  describe(`a waypoint run by ${engine.name}`, { skip }, () => {
    let shop: Shop;
    before(async () => {
      shop = await Shop.open(engine.lab, engine.image);
    });
    after(() => shop?.close());

    test('its status says when it serves', async () => {
      const path = 'jsonpath={.status.addresses[*].value}';
      const addresses = await shop.kubectl(['get', 'gtw', 'waypoint', '-o', path]);
      assert.match(addresses, /^10\.\S+ fd\S+ waypoint\.shop\.svc\.cluster\.local$/);
      await shop.kubectl(['wait', '--for=condition=istio.io/WaypointBound', 'service/web', '--timeout=60s']);
    });

    test('calls go through it', async () => {
      const waypoint = await shop.ipsOf('waypoint');
      const answer = await shop.until('the call goes through the waypoint', 'client', ['http://web/a?b=1'], (a) =>
        a.through(waypoint),
      );
      assert.deepEqual([answer.status, answer.echo?.method, answer.echo?.url], [200, 'GET', '/a?b=1']);
      assert.equal(answer.echo?.headers['host'], 'web');
      for (const family of ['-4', '-6']) {
        const { echo, status } = await shop.curl('client', [family, 'http://web/family']);
        assert.deepEqual([status, echo?.url], [200, '/family'], family);
      }
    });

    test('an HTTPRoute sends by header, splits by weight and rewrites', async () => {
      await shop.apply(httpRoute);
      const v2 = ['-H', 'x-version: v2', 'http://web/old/a'];
      const moved = await shop.until('the header chooses', 'client', v2, (a) => a.isFrom('web-v2'));
      assert.equal(moved.echo?.url, '/new/a');
      const seen = new Set<string>();
      for (let i = 0; i < 20; i++) seen.add((await shop.curl('client', ['http://web/'])).echo?.pod.slice(0, 6) ?? '');
      assert.deepEqual([...seen], ['web-v1'], 'all of the weight');
      const said =
        'jsonpath={range .status.parents[0].conditions[*]}{.type}={.status}:{.observedGeneration} {end}{.metadata.generation}';
      await until('the route says that it is live', async () => {
        const [generation, ...conditions] = (await shop.kubectl(['get', 'httproute', 'web', '-o', said]))
          .split(' ')
          .reverse();
        const live = ['Accepted', 'ResolvedRefs', 'ResolvedWaypoints', 'Programmed'];
        return live.every((type) => conditions.includes(`${type}=True:${generation}`)) || undefined;
      });
      await shop.delete(httpRoute);
      await shop.until('without the route', 'client', v2, (a) => a.echo?.url === '/old/a');
    });

    test('a VirtualService matches, retries and answers by itself', async () => {
      await shop.apply(virtualService);
      const v2 = ['-H', 'end-user: jason', 'http://web/'];
      await shop.until('the header chooses', 'client', v2, (a) => a.isFrom('web-v2'));
      const direct = await shop.curl('client', ['http://web/teapot']);
      assert.deepEqual([direct.status, direct.text], [418, 'short and stout']);
      await shop.delete(virtualService);
      await shop.until('without it', 'client', ['http://web/teapot'], (a) => a.status === 200);
    });

    test('an AuthorizationPolicy refuses by method, and by who calls', async () => {
      await shop.apply(policies);
      const remove = ['-X', 'DELETE', 'http://web/'];
      const denied = await shop.until('it is refused', 'client', remove, (a) => a.status === 403);
      assert.equal(denied.text, 'RBAC: access denied');
      const admin = ['http://web/admin'];
      await shop.until('a stranger is refused', 'stranger', admin, (a) => a.status === 403);
      assert.equal((await shop.curl('client', admin)).status, 200);
      assert.equal((await shop.curl('stranger', ['http://web/'])).status, 200);
      // However the path is spelt.
      for (const path of ['/x/../admin', '/%61dmin', '/./admin']) {
        const { status } = await shop.curl('stranger', ['--path-as-is', `http://web${path}`]);
        assert.equal(status, 403, path);
      }
      await shop.delete(policies);
      await shop.until('without it', 'client', remove, (a) => a.status === 200);
    });

    test("gRPC's interoperability tests pass through two node proxies and the waypoint", {
      skip: skipWithoutGoPrograms('grpc-interop'),
    }, async (t) => {
      const { code, stdout, stderr } = await shop.exec('grpc-client', ['/interop/grpc-interop', 'client', 'grpc:80']);
      assert.equal(code, 0, `${stdout}${stderr}`);
      const passed = stdout.trim().split('\n');
      t.diagnostic(passed.join(', '));
      assert.equal(passed.length, interopCases);
      const { stderr: direct } = await shop.exec('grpc-client', ['/interop/grpc-interop', 'client', 'nobody:80']);
      assert.notEqual(direct, '', 'a case that fails is seen');
    });

    test('WebSockets pass as they are', async (t) => {
      const { code, stdout, stderr } = await shop.exec('ws-client', [...websocket, 'run', 'ws:80']);
      assert.equal(code, 0, `${stdout}${stderr}`);
      const passed = stdout.trim().split('\n');
      t.diagnostic(`${passed.length} cases`);
      assert.equal(passed.length, websocketCases);
    });

    test('a changed route takes effect under load and loses no call', async () => {
      const ip = await shop.kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}']);
      const pace = await shop.pace('ws-client', { ip, port: 80, connections: 8, rate: 200, seconds: 0 });
      for (const name of ['a', 'b', 'c', 'd', 'e']) {
        await shop.apply(markedRoute(name));
        await pace.answeredBy(name);
      }
      const { sent, lost } = await pace.stop();
      assert.ok(sent > 0);
      assert.equal(lost, 0, `of ${sent} calls`);
      await shop.delete(markedRoute('e'));
    });

    test('while it is replaced no call is lost', async () => {
      const replace = async () => {
        await shop.kubectl(['rollout', 'restart', 'deploy/waypoint']);
        await shop.kubectl(['rollout', 'status', 'deploy/waypoint', '--timeout=60s']);
        await until(
          'the old one is gone',
          async () => (await shop.ipsOf('waypoint')).length === 2 || undefined,
          patience,
        );
      };
      const statuses = await shop.during(replace, 'client', 'http://web/');
      assert.deepEqual([...new Set(statuses)], [200]);
    });
  });
}

interface Echo {
  readonly pod: string;
  readonly peer: { readonly address: string };
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

class Answer {
  /** 0: none came. */
  readonly status: number;
  readonly text: string;
  readonly echo: Echo | undefined;

  constructor(output: string) {
    const [, text = '', status = '0'] = /^([\s\S]*)\n(\d{3})$/.exec(output) ?? [];
    this.status = Number(status);
    this.text = text;
    this.echo = text.startsWith('{"pod"') ? (JSON.parse(text) as Echo) : undefined;
  }

  isFrom(deployment: string): boolean {
    return this.echo?.pod.startsWith(`${deployment}-`) === true;
  }

  /** Its server was called by one of these addresses. */
  through(addresses: readonly string[]): boolean {
    return this.echo !== undefined && addresses.includes(this.echo.peer.address);
  }
}

const httpRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: web, port: 80 }]
  rules:
    - matches: [{ headers: [{ name: x-version, value: v2 }], path: { type: PathPrefix, value: /old } }]
      filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } } }]
      backendRefs: [{ name: web-v2, port: 80 }]
    - backendRefs: [{ name: web-v1, port: 80, weight: 1 }, { name: web-v2, port: 80, weight: 0 }]
`;

/** Its answers tell its name. */
const markedRoute = (name: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: web, port: 80 }]
  rules:
    - filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: x-route, value: ${name} }] } }]
      backendRefs: [{ name: web-v1, port: 80 }]
`;

const virtualService = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: shop }
spec:
  hosts: [web]
  http:
    - match: [{ uri: { exact: /teapot } }]
      directResponse: { status: 418, body: { string: short and stout } }
    - match: [{ headers: { end-user: { exact: jason } } }]
      retries: { attempts: 2, perTryTimeout: 2s, retryOn: 5xx }
      route: [{ destination: { host: web-v2 } }]
    - route: [{ destination: { host: web-v1 } }]
`;

const policies = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-delete, namespace: shop }
spec:
  targetRefs: [{ group: '', kind: Service, name: web }]
  action: DENY
  rules: [{ to: [{ operation: { methods: [DELETE] } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: admins, namespace: shop }
spec:
  targetRefs: [{ group: '', kind: Service, name: web }]
  action: DENY
  rules:
    - from: [{ source: { notPrincipals: [cluster.local/ns/shop/sa/client] } }]
      to: [{ operation: { paths: [/admin] } }]
`;

/** Two versions of a service behind a waypoint, and callers with accounts of their own. */
class Shop {
  readonly lab: LabApi;
  readonly #kubectl: Kubectl;
  readonly #aquifer: ClientProgram;

  private constructor(lab: LabApi) {
    this.lab = lab;
    this.#kubectl = new Kubectl(lab.kubeconfig);
    this.#aquifer = new ClientProgram(join(checkout, 'bin/aquifer'), lab.kubeconfig);
  }

  static async open(name: string, image: string): Promise<Shop> {
    const lab = await Lab.up({ name: labName(name), nodes: 2 });
    const shop = new Shop(lab);
    try {
      await shop.apply(objects);
      await lab.kube.create(gatewayKind, waypoint(image));
      await lab.waitReady(patience);
      await lab.waitEnrolled(patience);
      await shop.aquifer('waypoint', 'apply', '-n', 'shop', '--wait');
      return shop;
    } catch (e) {
      await shop.close();
      throw e;
    }
  }

  /** What it prints; fails with what it says otherwise. */
  async kubectl(args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.#kubectl.run(['-n', 'shop', ...args], input);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  async apply(yaml: string): Promise<void> {
    await this.kubectl(['apply', '-f', '-'], yaml);
  }

  async delete(yaml: string): Promise<void> {
    await this.kubectl(['delete', '-f', '-'], yaml);
  }

  async exec(deployment: string, argv: readonly string[]): Promise<ExecResult> {
    const [pod] = await this.lab.podsOf(`shop/${deployment}`);
    assert.ok(pod, deployment);
    return this.lab.exec({ namespace: 'shop', name: pod.metadata.name }, argv, { timeout: patience });
  }

  async pace(from: string, load: PaceLoad): Promise<Pace> {
    const [pod] = await this.lab.podsOf(`shop/${from}`);
    const ref = { namespace: 'shop', name: pod!.metadata.name };
    return new Pace(await this.lab.spawn(ref, [paceProgram, ...paceArguments(load)]));
  }

  async curl(from: string, args: readonly string[]): Promise<Answer> {
    const { stdout } = await this.exec(from, ['curl', '-s', '-m', '10', '-w', '\n%{http_code}', ...args]);
    return new Answer(stdout);
  }

  async ipsOf(deployment: string): Promise<readonly string[]> {
    const pods = await this.lab.podsOf(`shop/${deployment}`);
    return pods.flatMap((p) => p.status?.podIPs?.map(({ ip }) => ip) ?? []);
  }

  /** `bin/aquifer`; what it prints. */
  async aquifer(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#aquifer.run(args);
    assert.equal(code, 0, `${stdout}${stderr}`);
    return stdout;
  }

  /** Calls one after the other until `work` is done; their statuses. */
  async during(work: () => Promise<unknown>, from: string, url: string): Promise<readonly number[]> {
    const [pod] = await this.lab.podsOf(`shop/${from}`);
    const loop = `while :; do curl -s -o /dev/null -m 10 -w '%{http_code}\n' ${url}; sleep 0.05; done`;
    const ref = { namespace: 'shop', name: pod!.metadata.name };
    const calls = await this.lab.spawn(ref, ['sh', '-c', loop]);
    const statuses: number[] = [];
    createInterface({ input: calls.stdout }).on('line', (line) => statuses.push(Number(line)));
    calls.stderr.resume();
    await until('calls are made', () => statuses.length > 5 || undefined, patience);
    await work();
    const done = statuses.length;
    await until('calls are made afterwards', () => statuses.length > done + 5 || undefined, patience);
    calls.kill('SIGKILL');
    await calls.exited;
    return statuses;
  }

  /** Configuration takes its time to arrive. */
  async until(
    what: string,
    from: string,
    args: readonly string[],
    holds: (answer: Answer) => boolean,
  ): Promise<Answer> {
    let last: Answer | undefined;
    try {
      return await until(
        what,
        async () => {
          last = await this.curl(from, args);
          return holds(last) ? last : undefined;
        },
        patience,
      );
    } catch (e) {
      throw new Error(`${(e as Error).message}; the last answer was ${last?.status} ${last?.text}`, { cause: e });
    }
  }

  async close(): Promise<void> {
    await this.lab.down();
  }
}

/** `aquifer waypoint apply` leaves its annotation alone. */
const waypoint = (image: string) => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'Gateway',
  metadata: { name: 'waypoint', namespace: 'shop', annotations: { 'sidecar.istio.io/proxyImage': image } },
  spec: { gatewayClassName: 'istio-waypoint', listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }] },
});

const objects = manifests();

function manifests(): string {
  const account = (name: string) => `
apiVersion: v1
kind: ServiceAccount
metadata: { name: ${name}, namespace: shop }
`;
  const deployment = (name: string, labels: string, container: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { matchLabels: { name: ${name} } }
  template:
    metadata: { labels: { name: ${name}, ${labels} } }
    spec:
      serviceAccountName: ${name}
      terminationGracePeriodSeconds: 1
      containers: [${container}]
`;
  const service = (name: string, selector: string, protocol = 'http') => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { ipFamilyPolicy: PreferDualStack, selector: { ${selector} }, ports: [{ name: ${protocol}, port: 80, targetPort: 8080 }] }
`;
  const echo = '{ name: echo, image: aquifer/echo, readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } }';
  const folder = dirname(goProgramPath('grpc-interop'));
  const interop = (name: string, command: string, port = '') => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: shop }
spec:
  selector: { matchLabels: { name: ${name} } }
  template:
    metadata: { labels: { name: ${name} } }
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{ name: interop, hostPath: { path: ${folder} } }]
      containers:
        - name: main
          image: debian
          command: ${command}
          volumeMounts: [{ name: interop, mountPath: /interop }]
          ${port}
`;
  const grpc = [
    interop('grpc-server', '[/interop/grpc-interop, server, "8080"]', 'readinessProbe: { tcpSocket: { port: 8080 } }'),
    interop('grpc-client', '[sleep, infinity]'),
    service('grpc', 'name: grpc-server', 'grpc'),
  ];
  const command = (...argv: readonly string[]) => JSON.stringify(argv);
  const serving = `{ name: main, image: aquifer/echo, command: ${command(...websocket, 'serve', '8080')}, readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } }`;
  const idle = '{ name: main, image: curlimages/curl, command: [sleep, infinity] }';
  return [
    `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint } }
`,
    ...['web-v1', 'web-v2', 'client', 'stranger'].map(account),
    deployment('web-v1', 'app: web, version: v1', echo),
    deployment('web-v2', 'app: web, version: v2', echo),
    deployment('client', 'role: caller', idle),
    deployment('stranger', 'role: caller', idle),
    ...(skipWithoutGoPrograms('grpc-interop') === false ? grpc : []),
    ...['ws-server', 'ws-client'].map(account),
    deployment('ws-server', 'role: server', serving),
    deployment('ws-client', 'role: caller', `{ name: main, image: aquifer/client, command: [sleep, infinity] }`),
    service('ws', 'name: ws-server'),
    service('web', 'app: web'),
    service('web-v1', 'version: v1'),
    service('web-v2', 'version: v2'),
  ].join('---');
}
