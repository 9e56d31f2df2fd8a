/** The lab of the end-to-end tests: servers, clients inside and outside of the mesh, and the programs that they run. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Ip, isIpv6, parseIp } from '../../common/core/net.ts';
import { namespaceKind, type Pod, serviceKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { cleanUp } from '../../lab/cleanup.ts';
import { type HostName, Lab, type LabApi, type LabOptions, type LabProcess, type PodRef } from '../../lab/index.ts';
import { engineUnderTest } from '../harness/engine.ts';
import { labName } from '../harness/lab-name.ts';
import type { BurstSummary, HoldEvent, LoopCall, Touched } from './tools/traffic.ts';
import type { TunnelAnswer } from './tools/tunnel.ts';

const checkout = join(import.meta.dirname, '../..');
const node = join(checkout, 'scripts/pinned-node');
const traffic = [node, join(checkout, 'test/e2e/tools/traffic.ts')];

const idle = [node, '-e', 'setInterval(() => {}, 1e6)'];

/** In the mesh. */
export const meshNamespace = 'e2e';
/** Outside of it. */
export const plainNamespace = 'plain';
export const serverPort = 8080;

export class World {
  readonly lab: LabApi;

  private constructor(lab: LabApi) {
    this.lab = lab;
  }

  /** `server` on node-2; `client` and `stranger` (another service account) on node-1, `near` on node-2; `plain/outsider`. */
  static up(name: string, capture: 'ebpf' | 'nft' = 'ebpf', env: LabOptions['env'] = {}): Promise<World> {
    return World.#make(name, capture, {
      env: {
        ...env,
        ztunnel: { ...engineUnderTest, ...env.ztunnel },
        'cni-agent': { AQUIFER_CAPTURE: capture, ...env['cni-agent'] },
      },
    });
  }

  /** Without the mesh and its label: somebody else installs it. */
  static bare(name: string, capture: 'ebpf' | 'nft' = 'ebpf'): Promise<World> {
    return World.#make(name, capture, { mesh: false });
  }

  static async #make(name: string, capture: 'ebpf' | 'nft', options: Pick<LabOptions, 'env' | 'mesh'>): Promise<World> {
    // With nftables port 15008 is the proxy's, also in the pod.
    const ports = [String(serverPort), ...(capture === 'ebpf' ? ['15008'] : [])];
    const lab = await Lab.up({
      name: labName(name),
      nodes: 2,
      ...options,
      manifests: [
        options.mesh === false ? namespace(meshNamespace) : namespace(meshNamespace, 'ambient'),
        namespace(plainNamespace),
        deployment({ name: 'server', node: 'node-2', command: [...traffic, 'serve', ...ports] }),
        service('server'),
        deployment({ name: 'client', node: 'node-1' }),
        deployment({ name: 'near', node: 'node-2', account: 'client' }),
        deployment({ name: 'stranger', node: 'node-1' }),
        deployment({ namespace: plainNamespace, name: 'outsider', node: 'node-1' }),
      ],
    });
    const world = new World(lab);
    try {
      await lab.waitReady();
      await lab.waitEnrolled();
      return world;
    } catch (e) {
      await world.down();
      throw e;
    }
  }

  async down(): Promise<void> {
    const { name } = this.lab;
    await this.lab.down();
    await cleanUp(name);
  }

  async pod(deployment: string, namespace = meshNamespace): Promise<Pod> {
    const [pod] = await this.lab.podsOf(`${namespace}/${deployment}`);
    assert.ok(pod !== undefined, `Deployment ${namespace}/${deployment} has a pod`);
    return pod;
  }

  async ref(deployment: string, namespace = meshNamespace): Promise<PodRef> {
    return { namespace, name: (await this.pod(deployment, namespace)).metadata.name };
  }

  /** IPv4 and IPv6 of the Service. */
  async vips(name = 'server'): Promise<{ readonly v4: Ip; readonly v6: Ip }> {
    const found = await this.lab.kube.get(serviceKind, { namespace: meshNamespace, name });
    return families(found?.spec.clusterIPs ?? []);
  }

  async ips(deployment: string, namespace = meshNamespace): Promise<{ readonly v4: Ip; readonly v6: Ip }> {
    return families((await this.pod(deployment, namespace)).status?.podIPs?.map((p) => p.ip) ?? []);
  }

  async setMesh(mode: 'ambient' | null): Promise<void> {
    const patch = { metadata: { labels: { 'istio.io/dataplane-mode': mode } } };
    await this.lab.kube.patch(namespaceKind, { name: meshNamespace }, patch);
    await this.lab.waitEnrolled();
  }

  async burst(from: PodRef, to: Ip, count: number): Promise<BurstSummary> {
    return JSON.parse(await this.#run(from, ['burst', to, String(serverPort), String(count)])) as BurstSummary;
  }

  async touch(from: PodRef, targets: readonly string[]): Promise<readonly Touched[]> {
    return JSON.parse(await this.#run(from, ['touch', ...targets])) as readonly Touched[];
  }

  /** The first line of the server at a name, reached by SOCKS 5 on the pod's loopback; or what SOCKS says instead, as hex. */
  async socks(from: PodRef, host: string, port = serverPort): Promise<string> {
    return this.#run(from, ['socks', host, String(port)]);
  }

  /** CONNECTs to a pod's port 15008, each on a connection of its own, with a certificate and its key. */
  async tunnel(from: PodRef, to: Ip, pem: string, authorities: readonly string[]): Promise<readonly TunnelAnswer[]> {
    const argv = [node, join(checkout, 'test/e2e/tools/tunnel.ts'), to, ...authorities];
    const result = await this.lab.exec(from, argv, { env: { MTLS: pem } });
    assert.equal(result.code, 0, result.stderr);
    return JSON.parse(result.stdout) as readonly TunnelAnswer[];
  }

  /** Puts another IPv4 address in the place of the pod's own, in its namespace and in its node's routes. */
  async takeAddress(deployment: string, namespace: string, host: HostName, address: Ip): Promise<void> {
    const { v4: own } = await this.ips(deployment, namespace);
    const inside = await this.lab.spawn(await this.ref(deployment, namespace), idle);
    const netns = (pid: number | 'self') => readlinkSync(`/proc/${pid}/ns/net`);
    // It starts in the machine's own, which is never to be touched.
    await until('the process is in its pod', () => netns(inside.pid) !== netns('self'));
    const ip = (...args: string[]) => execFileSync('nsenter', [`--net=/proc/${inside.pid}/ns/net`, 'ip', ...args]);
    const route = ip('route', 'show', 'default').toString().trim().split(' ');
    ip('addr', 'add', `${address}/32`, 'dev', 'eth0');
    ip('addr', 'del', `${own}/32`, 'dev', 'eth0');
    ip('route', 'replace', ...route);
    inside.kill('SIGKILL');
    const { stdout } = await this.lab.execOn(host, ['ip', 'route', 'show', own]);
    await this.lab.execOn(host, ['ip', 'route', 'replace', address, ...stdout.trim().split(/\s+/).slice(1)]);
  }

  /** `to`: an address, or a name. */
  loop(from: PodRef, to: string, every: number, marker: string, port = serverPort): Promise<Stream<LoopCall>> {
    return this.#stream(from, ['loop', to, String(port), String(every), marker]);
  }

  hold(from: PodRef, to: Ip, port = serverPort): Promise<Stream<HoldEvent>> {
    return this.#stream(from, ['hold', to, String(port)]);
  }

  /** `argv` of test/faults/tools/load.ts. */
  async load<T>(from: PodRef, ...argv: readonly (string | number)[]): Promise<Stream<T>> {
    const program = join(checkout, 'test/faults/tools/load.ts');
    return new Stream<T>(await this.lab.spawn(from, [node, program, ...argv.map(String)]));
  }

  async #run(from: PodRef, args: readonly string[]): Promise<string> {
    const result = await this.lab.exec(from, [...traffic, ...args], { timeout: 60_000 });
    assert.equal(result.code, 0, result.stderr);
    return result.stdout;
  }

  async #stream<T>(from: PodRef, args: readonly string[]): Promise<Stream<T>> {
    return new Stream<T>(await this.lab.spawn(from, [...traffic, ...args]));
  }
}

/** The JSON lines that a process has printed so far. */
export class Stream<T> {
  readonly lines: T[] = [];
  readonly #process: LabProcess;

  constructor(process: LabProcess) {
    this.#process = process;
    createInterface({ input: process.stdout }).on('line', (line) => this.lines.push(JSON.parse(line) as T));
    process.stderr.resume();
  }

  /** Lets it end what it does. */
  finish(): Promise<readonly T[]> {
    this.#process.stdin.end();
    return this.exit();
  }

  /** When it has ended by itself. */
  async exit(): Promise<readonly T[]> {
    assert.equal(await this.#process.exited, 0);
    return this.lines;
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#process.exited;
  }
}

/** A container whose first process connects in its first instruction (test/tools/first.c). */
export interface FirstCall {
  readonly to: Ip;
  readonly marker: string;
}

export interface RacingPod {
  readonly namespace?: string;
  readonly name: string;
  readonly node: string;
  readonly account: string;
  /** `job` ends; `init` calls in an init container, then as a job; `plain` stays. */
  readonly variety: 'job' | 'init' | 'plain';
  readonly call: FirstCall;
}

export function racingPod({
  namespace = meshNamespace,
  name,
  node: nodeName,
  account,
  variety,
  call,
}: RacingPod): object {
  const first = (container: string, ...more: string[]) => {
    const command = [join(checkout, 'test/tools/build/first'), call.to, String(serverPort), call.marker, ...more];
    return { name: container, image: 'aquifer/client', command };
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { app: 'racer' } },
    spec: {
      nodeName,
      serviceAccountName: account,
      restartPolicy: variety === 'plain' ? 'Always' : 'Never',
      terminationGracePeriodSeconds: 1,
      ...(variety === 'init' && { initContainers: [first('before')] }),
      containers: [variety === 'plain' ? first('app', 'stay') : first('app')],
    },
  };
}

interface DeploymentSpec {
  readonly namespace?: string;
  readonly name: string;
  readonly node: string;
  /** Service account; default the deployment's name. */
  readonly account?: string;
  /** Default: sleeps. */
  readonly command?: readonly string[];
}

export function deployment(spec: DeploymentSpec): string {
  const { namespace = meshNamespace, name, account = name } = spec;
  const command = spec.command ?? idle;
  const probe = spec.command && { readinessProbe: { tcpSocket: { port: serverPort }, periodSeconds: 1 } };
  return yaml([
    ...(account === name ? [{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name } }] : []),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace, name },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: name } },
        template: {
          metadata: { labels: { app: name } },
          spec: {
            serviceAccountName: account,
            nodeName: spec.node,
            terminationGracePeriodSeconds: 1,
            containers: [{ name: 'app', image: 'aquifer/client', command, ...probe }],
          },
        },
      },
    },
  ]);
}

/** Of the whole namespace of the mesh. */
export function strictMtls(): string {
  return yaml([
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { namespace: meshNamespace, name: 'default' },
      spec: { mtls: { mode: 'STRICT' } },
    },
  ]);
}

/** Denies everything of one service account to the server, or with no account allows only `client`. */
export function policy(name: string, action: 'ALLOW' | 'DENY', account: string): string {
  return yaml([
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { namespace: meshNamespace, name },
      spec: {
        selector: { matchLabels: { app: 'server' } },
        action,
        rules: [{ from: [{ source: { principals: [`cluster.local/ns/${meshNamespace}/sa/${account}`] } }] }],
      },
    },
  ]);
}

function namespace(name: string, mode?: string): string {
  const labels = mode === undefined ? {} : { 'istio.io/dataplane-mode': mode };
  return yaml([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }]);
}

function service(name: string): string {
  return yaml([
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: meshNamespace, name },
      spec: { selector: { app: name }, ipFamilyPolicy: 'RequireDualStack', ports: [{ name: 'tcp', port: serverPort }] },
    },
  ]);
}

/** JSON is YAML. */
export function yaml(objects: readonly object[]): string {
  return objects.map((o) => `---\n${JSON.stringify(o)}\n`).join('');
}

function families(texts: readonly string[]): { readonly v4: Ip; readonly v6: Ip } {
  const ips = texts.map((t) => parseIp(t)).filter((ip) => ip !== undefined);
  const v4 = ips.find((ip) => !isIpv6(ip));
  const v6 = ips.find(isIpv6);
  assert.ok(v4 !== undefined && v6 !== undefined, `one address of each family is in ${texts}`);
  return { v4, v6 };
}
