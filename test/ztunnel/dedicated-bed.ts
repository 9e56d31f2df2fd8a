/**
 * Two machines (network namespaces joined by a veth pair), each with a dedicated proxy of its own, started as a user starts it:
 * the mesh comes from a file, certificates from a CA in a folder, and nothing else is reached.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { writeCaFolder } from '../../common/testing/ca-folder.ts';
import { until } from '../../common/testing/until.ts';

const repository = join(import.meta.dirname, '../..');
const pinnedNode = join(repository, 'scripts/pinned-node');

export type Machine = 'a' | 'b';
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

export class DedicatedBed {
  readonly folder = mkdtempSync(join(tmpdir(), 'aq-dedicated-'));
  readonly #prefix = `aqd-${process.pid}`;
  readonly #children = new Set<ChildProcess>();

  /** `rules` are run in both machines' namespaces. */
  static async make(rules: (run: (command: string, input?: string) => void) => void): Promise<DedicatedBed> {
    const bed = new DedicatedBed();
    try {
      await bed.#prepare(rules);
    } catch (e) {
      await bed.remove();
      throw e;
    }
    return bed;
  }

  /** Settings of the proxy of a machine, ours or Istio's. */
  env(machine: Machine): Record<string, string> {
    return {
      PROXY_MODE: 'dedicated',
      PROXY_WORKLOAD_INFO: `default/${machine}/${machine}`,
      NODE_NAME: machine,
      XDS_ADDRESS: '',
      LOCAL_XDS_PATH: join(this.folder, 'mesh.yaml'),
      FAKE_CA: 'true',
      AQUIFER_FAKE_CA_DIR: this.folder,
      RUST_LOG: process.env['TEST_LOG'] ?? 'warn',
    };
  }

  /** Starts a proxy; default ours. Resolves with its process when it is ready. */
  async proxy(machine: Machine, env: Record<string, string> = {}, argv = ourProxy): Promise<ChildProcess> {
    const child = this.#start(machine, argv, { ...process.env, ...this.env(machine), ...env });
    await this.run(machine, untilReady);
    return child;
  }

  /** A Node program in a machine; its arguments are `process.argv.slice(1)`. Resolves with its whole output. */
  async run(machine: Machine, program: string, ...args: readonly string[]): Promise<string> {
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
    for (const child of this.#children) child.kill('SIGKILL');
    await until('the end of all processes', () => this.#children.size === 0);
    for (const machine of ['a', 'b']) {
      try {
        execFileSync('ip', ['netns', 'del', `${this.#prefix}-${machine}`], { stdio: 'ignore' });
      } catch {
        // It was never made.
      }
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #prepare(rules: (run: (command: string, input?: string) => void) => void): Promise<void> {
    // Workers are another user.
    chmodSync(this.folder, 0o755);
    await writeCaFolder(this.folder, 'rsa');
    writeFileSync(join(this.folder, 'mesh.yaml'), meshFile);
    const ipTool = (args: string) => execFileSync('ip', args.split(' '));
    for (const machine of ['a', 'b'] as const) ipTool(`netns add ${this.#prefix}-${machine}`);
    ipTool(`-n ${this.#prefix}-a link add eth0 type veth peer name eth0 netns ${this.#prefix}-b`);
    for (const machine of ['a', 'b'] as const) {
      const name = `${this.#prefix}-${machine}`;
      ipTool(`-n ${name} addr add ${address[machine]}/24 dev eth0`);
      ipTool(`-n ${name} link set lo up`);
      ipTool(`-n ${name} link set eth0 up`);
      ipTool(`-n ${name} route add default dev eth0`);
      rules((command, input) => {
        execFileSync('nsenter', [`--net=/run/netns/${name}`, ...command.split(' ')], { input: input ?? '' });
      });
    }
  }

  #start(machine: Machine, argv: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    const command = [`--net=/run/netns/${this.#prefix}-${machine}`, ...argv];
    const child = spawn('nsenter', command, { stdio: ['ignore', 'pipe', 'inherit'], env });
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }
}

/** As Istio's image starts its own. */
const ourProxy: readonly string[] = [join(repository, 'bin/ztunnel'), 'proxy', 'ztunnel'];

const untilReady = `
(async () => {
  for (let i = 0; i < 600; i++) {
    const r = await fetch('http://127.0.0.1:15021/healthz/ready').catch(() => undefined);
    if (r?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  process.exit(1);
})();`;

const echoProgram = `
require('node:net').createServer({ allowHalfOpen: true }, (s) => {
  s.on('error', () => {});
  s.write('peer ' + s.remoteAddress.replace('::ffff:', '') + '\\n');
  s.pipe(s);
}).listen({ port: +process.argv[1] }, () => console.log('up'));`;

/** Connects, says hello, prints what comes back or the error. */
export const call = `
const s = require('node:net').connect({ host: process.argv[1], port: +process.argv[2] });
let got = '';
s.on('data', (d) => { got += d; if (got.endsWith('hello')) s.end(); });
s.on('close', () => console.log(got.replace('\\n', ' ')));
s.on('error', (e) => console.log(e.code));
s.write('hello');
setTimeout(() => { console.log('timeout'); process.exit(); }, 15000).unref();`;
