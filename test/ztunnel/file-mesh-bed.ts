/**
 * Two machines (network namespaces joined by a veth pair), each with a proxy of its own, started as a user starts it: a dedicated
 * one inside, or one for pods beside it with a scripted agent. The mesh comes from a file, certificates from a CA in a folder,
 * and nothing else is reached.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { writeCaFolder } from '../../common/testing/ca-folder.ts';
import { until } from '../../common/testing/until.ts';
import { ScriptedAgent } from '../harness/scripted-agent.ts';

const repository = join(import.meta.dirname, '../..');
const pinnedNode = join(repository, 'scripts/pinned-node');

export type Machine = 'a' | 'b';
/** Also the namespaces of proxies that are not inside of their machine, of which one may follow another. */
const places = ['a', 'b', 'a-node', 'b-node', 'a-next', 'b-next'] as const;
type Place = (typeof places)[number];
export const address = { a: '10.77.2.1', b: '10.77.2.2' } as const;
export const vip = '10.96.77.2';

/** Workloads `a` and `b` of namespace `default`; `b` serves the service and takes plain text from nobody. */
export const meshFile = `
workloads:
${(['a', 'b'] as const)
  .map(
    (name) => `- uid: lab//VM/default/${name}
  name: ${name}
  namespace: default
  serviceAccount: ${name}
  trustDomain: cluster.local
  workloadIps: ["${address[name]}"]
  protocol: HBONE
  network: ""
  clusterId: Kubernetes
  node: ${name}
  canonicalName: ${name}
  canonicalRevision: v1
  authorizationPolicies: ${name === 'b' ? '["default/only-a"]' : '[]'}
  services: ${name === 'b' ? '{"default/echo.default.svc.cluster.local": {80: 8080}}' : '{}'}`,
  )
  .join('\n')}
services:
- name: echo
  namespace: default
  hostname: echo.default.svc.cluster.local
  vips: ["/${vip}"]
  ports: {80: 8080}
  subjectAltNames: []
  canonical: true
policies:
- name: only-a
  namespace: default
  scope: WorkloadSelector
  action: Allow
  dryRun: false
  rules:
  - - - principals: [!Exact cluster.local/ns/default/sa/a]
`;

export interface BedOptions {
  /** Run in both machines' namespaces. */
  readonly rules: (run: (command: string, input?: string) => void) => void;
  /** Folder of a CA; default one that is made. */
  readonly ca?: string;
}

export class FileMeshBed {
  readonly folder = mkdtempSync(join(tmpdir(), 'aq-dedicated-'));
  readonly #prefix = `aqd-${process.pid}`;
  readonly #children = new Set<ChildProcess>();
  readonly #agents = new Map<Machine, ScriptedAgent>();
  readonly #ca: string;

  private constructor(ca: string | undefined) {
    this.#ca = ca ?? this.folder;
  }

  static async make(options: BedOptions): Promise<FileMeshBed> {
    const bed = new FileMeshBed(options.ca);
    try {
      await bed.#prepare(options);
    } catch (e) {
      await bed.remove();
      throw e;
    }
    return bed;
  }

  /** Settings of a proxy, ours or Istio's. */
  #env(machine: Machine): Record<string, string> {
    return {
      NODE_NAME: machine,
      XDS_ADDRESS: '',
      LOCAL_XDS_PATH: join(this.folder, 'mesh.yaml'),
      FAKE_CA: 'true',
      AQUIFER_FAKE_CA_DIR: this.#ca,
      RUST_LOG: process.env['TEST_LOG'] ?? 'warn',
    };
  }

  /** Starts a dedicated proxy; default ours. Resolves with its process when it is ready. */
  async proxy(machine: Machine, env: Record<string, string> = {}, argv = ourProxy): Promise<ChildProcess> {
    const own = { PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: `default/${machine}/${machine}` };
    const child = this.#start(machine, argv, { ...process.env, ...this.#env(machine), ...own, ...env });
    await this.#ready(machine);
    return child;
  }

  /**
   * Starts a proxy for pods, beside the machine, which a scripted agent gives it as its only pod. Of one machine two may run at a time.
   */
  async sharedProxy(
    machine: Machine,
    {
      argv = ourProxy,
      env = {},
      onLog,
    }: {
      readonly argv?: typeof ourProxy | undefined;
      readonly env?: Record<string, string>;
      /** Gets all of it. */
      readonly onLog?: (text: string) => void;
    } = {},
  ): Promise<ChildProcess> {
    const zds = this.zdsPath(machine);
    const agent = this.#agents.get(machine) ?? new ScriptedAgent(zds);
    this.#agents.set(machine, agent);
    const before = agent.hellos;
    const node = before % 2 === 0 ? (`${machine}-node` as const) : (`${machine}-next` as const);
    const child = this.#start(node, argv, { ...process.env, ...this.#env(machine), INPOD_UDS: zds, ...env });
    if (onLog) child.stdout!.setEncoding('utf8').on('data', onLog);
    const ztunnel = await agent.connected(before + 1);
    const info = { name: machine, namespace: 'default', serviceAccount: machine };
    for (const error of [
      await ztunnel.add(`uid-${machine}`, info, this.#netns(machine)),
      await ztunnel.ask({ kind: 'snapshotSent' }),
    ]) {
      if (error !== '') throw new Error(`the proxy of ${machine} refused its pod: ${error}`);
    }
    await this.#ready(node);
    return child;
  }

  /** Where the scripted agent of a machine listens. */
  zdsPath(machine: Machine): string {
    return join(this.folder, `${machine}.sock`);
  }

  /** Starts a proxy for pods inside a machine, which is the proxy's own pod; no agent gives it any other. */
  async ownPodProxy(machine: Machine): Promise<ChildProcess> {
    const pod = { POD_NAME: machine, POD_NAMESPACE: 'default', SERVICE_ACCOUNT: machine };
    const zds = join(this.folder, 'nobody.sock');
    const child = this.#start(machine, ourProxy, { ...process.env, ...this.#env(machine), ...pod, INPOD_UDS: zds });
    await this.run(machine, untilListening, '15008');
    return child;
  }

  /** A Node program in a machine; its arguments are `process.argv.slice(1)`. Resolves with its whole output. */
  async run(machine: Place, program: string, ...args: readonly string[]): Promise<string> {
    const child = this.#start(machine, [pinnedNode, '-e', program, ...args], process.env);
    let output = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await new Promise((resolve) => child.once('close', resolve));
    return output;
  }

  /** A server that says "peer <address>" and echoes; resolves when it listens. */
  async echo(machine: Machine, port: number): Promise<void> {
    const child = this.#start(machine, [pinnedNode, '-e', echoProgram, String(port)], process.env);
    await new Promise<void>((resolve) => createInterface(child.stdout!).once('line', () => resolve()));
  }

  /** Ends a proxy and waits for it. */
  async stop(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null) return;
    child.kill('SIGTERM');
    await until('the end of a proxy', () => child.exitCode !== null || child.signalCode !== null, 15_000);
  }

  async remove(): Promise<void> {
    for (const agent of this.#agents.values()) agent.close();
    for (const child of this.#children) child.kill('SIGKILL');
    await until('the end of all processes', () => this.#children.size === 0);
    for (const place of places) {
      try {
        execFileSync('ip', ['netns', 'del', `${this.#prefix}-${place}`], { stdio: 'ignore' });
      } catch {
        // It was never made.
      }
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #prepare({ rules }: BedOptions): Promise<void> {
    // Workers are another user.
    chmodSync(this.folder, 0o755);
    if (this.#ca === this.folder) await writeCaFolder(this.folder, 'rsa');
    writeFileSync(join(this.folder, 'mesh.yaml'), meshFile);
    const ipTool = (args: string) => execFileSync('ip', args.split(' '));
    for (const place of places) {
      ipTool(`netns add ${this.#prefix}-${place}`);
      ipTool(`-n ${this.#prefix}-${place} link set lo up`);
    }
    ipTool(`-n ${this.#prefix}-a link add eth0 type veth peer name eth0 netns ${this.#prefix}-b`);
    for (const machine of ['a', 'b'] as const) {
      const name = `${this.#prefix}-${machine}`;
      ipTool(`-n ${name} addr add ${address[machine]}/24 dev eth0`);
      ipTool(`-n ${name} link set eth0 up`);
      ipTool(`-n ${name} route add default dev eth0`);
      rules((command, input) => {
        execFileSync('nsenter', [`--net=${this.#netns(machine)}`, ...command.split(' ')], { input: input ?? '' });
      });
    }
  }

  #netns(place: Place): string {
    return `/run/netns/${this.#prefix}-${place}`;
  }

  async #ready(place: Place): Promise<void> {
    const answer = await this.run(place, untilReady);
    if (answer !== '') throw new Error(`the proxy in ${place} is not ready: ${answer}`);
  }

  #start(place: Place, argv: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    const command = [`--net=${this.#netns(place)}`, ...argv];
    const child = spawn('nsenter', command, { stdio: ['ignore', 'pipe', 'inherit'], env });
    // Also so that a log that nobody reads stops nobody.
    child.stdout!.on(
      'data',
      (text: Buffer | string) => process.env['TEST_LOG'] !== undefined && process.stderr.write(text),
    );
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }
}

/** As Istio's image starts its own. */
export const ourProxy: readonly string[] = [join(repository, 'bin/ztunnel'), 'proxy', 'ztunnel'];

const untilReady = `
(async () => {
  let last = 'nobody listens';
  for (let i = 0; i < 600; i++) {
    const r = await fetch('http://127.0.0.1:15021/healthz/ready').catch(() => undefined);
    if (r?.status === 200) return;
    if (r) last = await r.text();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  console.log(last);
})();`;

const untilListening = `
(async () => {
  const { connect } = require('node:net');
  for (let i = 0; i < 600; i++) {
    const s = connect({ host: '127.0.0.1', port: +process.argv[1] });
    const open = await new Promise((resolve) => s.once('connect', () => resolve(true)).once('error', () => resolve(false)));
    s.destroy();
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
})();`;

const echoProgram = `
require('node:net').createServer({ allowHalfOpen: true }, (s) => {
  s.on('error', () => {});
  s.write('peer ' + s.remoteAddress.replace('::ffff:', '') + '\\n');
  s.pipe(s);
}).listen({ port: +process.argv[1] }, () => console.log('up'));`;

const byMark = `
table inet aquifer_test {
  chain pre_mangle { type filter hook prerouting priority mangle; meta mark 0x539 ct mark set 0x111; }
  chain out_mangle { type route hook output priority mangle; ct mark 0x111 meta mark set 0x111; }
  chain pre { type nat hook prerouting priority dstnat;
    meta mark 0x539 return; iifname lo return; tcp dport 15008 return; meta l4proto tcp redirect to :15006; }
  chain out { type nat hook output priority -100;
    ct mark 0x111 return; meta mark 0x539 return; ip daddr 127.0.0.0/8 return; oifname lo return;
    udp dport 53 redirect to :15053; meta l4proto tcp redirect to :15001; }
}`;

/** The proxy's own connections are known by their mark, which also brings answers to its clients' addresses back to it. */
export function redirectByMark(run: (command: string, input?: string) => void): void {
  run('nft -f -', byMark);
  run('ip rule add fwmark 0x111/0xfff priority 32764 lookup 100');
  run('ip route add local default dev lo table 100');
}
