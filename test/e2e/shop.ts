/** A shop behind a waypoint, as end-to-end tests of waypoints have it: its lab, its callers, and what they are answered. */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { until } from '../../common/testing/until.ts';
import { type ExecResult, Lab, type LabApi } from '../../lab/index.ts';
import { ClientProgram } from '../harness/client-program.ts';
import { goProgramPath, skipWithoutGoPrograms } from '../harness/go-programs.ts';
import { Kubectl } from '../harness/kubectl.ts';
import { labName } from '../harness/lab-name.ts';
import { Pace, type PaceLoad, paceArguments, paceProgram } from '../harness/pace.ts';

export const patience = 60_000;
export const checkout = join(import.meta.dirname, '../..');
export const websocket = [join(checkout, 'scripts/pinned-node'), join(checkout, 'test/e2e/tools/websocket.ts')];
const taskServer = [join(checkout, 'scripts/pinned-node'), join(checkout, 'test/e2e/tools/task-server.ts')];

export interface Echo {
  readonly pod: string;
  readonly peer: { readonly address: string };
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export class Answer {
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

/** Two versions of a service behind a waypoint, and callers with accounts of their own. */
export class Shop {
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
    return this.#run(['-n', 'shop', ...args], input);
  }

  async #run(args: readonly string[], input: string): Promise<string> {
    const { code, stdout, stderr } = await this.#kubectl.run(args, input);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  /** Objects that say their namespace. */
  async apply(yaml: string): Promise<void> {
    await this.#run(['apply', '-f', '-'], yaml);
  }

  async delete(yaml: string): Promise<void> {
    await this.#run(['delete', '-f', '-'], yaml);
  }

  /** `deployment`: of the shop, or `namespace/name`. */
  async exec(deployment: string, argv: readonly string[]): Promise<ExecResult> {
    const [namespace, name] = deployment.includes('/') ? deployment.split('/') : ['shop', deployment];
    const [pod] = await this.lab.podsOf(`${namespace}/${name}`);
    assert.ok(pod, deployment);
    return this.lab.exec({ namespace: namespace!, name: pod.metadata.name }, argv, { timeout: patience });
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
  const tasks = `{ name: main, image: aquifer/echo, command: ${command(...taskServer)}, readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } }`;
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
    ...['reviews-v1', 'reviews-v2', 'decider'].map(account),
    ...['v1', 'v2'].map((v) => deployment(`reviews-${v}`, `app: reviews, version: ${v}`, tasks)),
    deployment('decider', 'role: decider', tasks),
    service('decider', 'name: decider'),
    `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: shop }
spec:
  selector: { app: reviews }
  ports: [{ name: http, port: 80, targetPort: 8080 }, { name: tcp, port: 9000, targetPort: 8080 }]
`,
    `
apiVersion: v1
kind: Namespace
metadata: { name: legacy }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: client, namespace: legacy }
spec:
  selector: { matchLabels: { name: client } }
  template:
    metadata: { labels: { name: client } }
    spec: { terminationGracePeriodSeconds: 1, containers: [${idle}] }
`,
    deployment('ws-client', 'role: caller', `{ name: main, image: aquifer/client, command: [sleep, infinity] }`),
    service('ws', 'name: ws-server'),
    service('web', 'app: web'),
    service('web-v1', 'app: web, version: v1'),
    service('web-v2', 'app: web, version: v2'),
  ].join('---');
}
