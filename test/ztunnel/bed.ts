/**
 * Two pods (network namespaces joined by a veth pair, captured as Istio's agent does it), a scripted node
 * agent, a stand-in for istiod, and the real supervisor with real workers.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../../common/core/clock.ts';
import { createLogger, LogLevels, type LogSink } from '../../common/core/log.ts';
import type { MeshAddress } from '../../common/mesh/types.ts';
import { ip, networkAddress, serves, service, workload } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { seqpacketConnect } from '../../native/index.ts';
import { parseConfig } from '../../ztunnel/config.ts';
import { systemKernel } from '../../ztunnel/supervisor/kernel.ts';
import { spawnWorker } from '../../ztunnel/supervisor/spawn-worker.ts';
import { type Supervisor, startSupervisor } from '../../ztunnel/supervisor/supervisor.ts';
import { captureAsIstio } from '../harness/istio-rules.ts';
import { ScriptedAgent } from '../harness/scripted-agent.ts';
import { ControlPlane } from './control-plane.ts';

const pinnedNode = join(import.meta.dirname, '../../scripts/pinned-node');

export const address = { a: '10.77.1.1', b: '10.77.1.2' } as const;
export type PodName = keyof typeof address;
export const vip = '10.96.77.1';

export const echoService = service({
  name: 'echo',
  addresses: [networkAddress(`/${vip}`)],
});
export const pods = {
  a: workload({ name: 'a', serviceAccount: 'a', addresses: [ip(address.a)] }),
  b: workload({ name: 'b', serviceAccount: 'b', addresses: [ip(address.b)], services: serves(echoService) }),
} as const;

/** For `Bed.run`: connects, says hello, prints what comes back or the error. */
export const call = `
const s = require('node:net').connect({ host: process.argv[1], port: +process.argv[2] });
let got = '';
s.on('data', (d) => { got += d; if (got.endsWith('hello')) s.end(); });
s.on('close', () => console.log(got.replace('\\n', ' ')));
s.on('error', (e) => console.log(e.code));
s.write('hello');
setTimeout(() => { console.log('timeout'); process.exit(); }, 15000).unref();`;

/** For `Bed.run`: opens many connections at once; each says its number and expects it back. Prints how many did not get it. */
export const burst = `
const net = require('node:net');
const [, host, port, count] = process.argv;
let open = +count, bad = 0;
for (let i = 0; i < +count; i++) {
  const s = net.connect({ host, port: +port });
  const text = 'connection ' + i + ';';
  let got = '';
  s.on('data', (d) => { got += d; if (got.endsWith(text)) s.end(); });
  s.on('error', () => {});
  s.on('close', () => {
    if (!got.endsWith(text)) bad++;
    if (--open === 0) console.log('bad ' + bad);
  });
  s.write(text);
}`;

export class Bed {
  readonly controlPlane: ControlPlane;
  readonly lines: string[] = [];
  readonly #prefix = `aqz-${process.pid}`;
  readonly #extra: string[] = [];
  readonly #children = new Set<ChildProcess>();
  #supervisor: Supervisor | undefined;
  #agent: ScriptedAgent | undefined;

  private constructor(controlPlane: ControlPlane) {
    this.controlPlane = controlPlane;
  }

  static async make(): Promise<Bed> {
    const bed = new Bed(await ControlPlane.start());
    try {
      bed.#makeNetwork();
    } catch (e) {
      await bed.remove();
      throw e;
    }
    return bed;
  }

  netns(pod: PodName): string {
    return `/run/netns/${this.#prefix}-${pod}`;
  }

  get zdsPath(): string {
    return join(this.controlPlane.folder, 'ztunnel.sock');
  }

  get agent(): ScriptedAgent {
    return this.#agent!;
  }

  get supervisor(): Supervisor {
    return this.#supervisor!;
  }

  /** The supervisor with its workers, which know these addresses, and an agent that it has connected to. */
  async startZtunnel(
    env: Record<string, string> = {},
    known: readonly MeshAddress[] = [pods.a, pods.b, echoService],
  ): Promise<void> {
    this.#agent ??= new ScriptedAgent(this.zdsPath);
    const { hellos } = this.#agent;
    const all = { ...this.controlPlane.env, NODE_NAME: 'node-1', INPOD_UDS: this.zdsPath, ...env };
    const parsed = parseConfig(all, { maxOpenFiles: 20_000 });
    if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
    const sink: LogSink = {
      levels: new LogLevels('info'),
      format: 'plain',
      write: (line) => void this.lines.push(line),
    };
    this.#supervisor = await startSupervisor({
      config: parsed.config,
      kernel: systemKernel,
      clock: systemClock,
      sink,
      spawnWorker: () => {
        const workerEnv = { ...process.env, RUST_LOG: process.env['TEST_LOG'] ?? 'off', ...all };
        return spawnWorker(workerEnv, parsed.config, createLogger(sink, 'supervisor'));
      },
      connect: seqpacketConnect,
      ports: { admin: 0, metrics: 0, readiness: 0 },
      onQuit: () => undefined,
    });
    const told = Array.from({ length: parsed.config.workers }, () => this.controlPlane.tell(known));
    await Promise.all(told);
    await this.#agent.connected(hellos + 1);
  }

  /** Another supervisor beside the one that runs; returns the older one, which goes on until it is drained. */
  async succeedZtunnel(): Promise<Supervisor> {
    const older = this.supervisor;
    await this.startZtunnel();
    return older;
  }

  async stopZtunnel(): Promise<void> {
    await this.#supervisor?.drain();
    this.#supervisor = undefined;
  }

  add(pod: PodName, uid = `uid-${pod}`): Promise<string> {
    const { name, namespace, serviceAccount } = pods[pod];
    return this.agent.newest.add(uid, { name, namespace, serviceAccount }, this.netns(pod));
  }

  async ready(): Promise<void> {
    await until('readiness', async () => (await this.get('readiness', '/healthz/ready')) === 'ready\n', 15_000);
  }

  async get(server: 'admin' | 'metrics' | 'readiness', path: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.supervisor.ports[server]}${path}`);
    return response.text();
  }

  /** Path of another network namespace, with nothing in it but loopback. */
  emptyNetns(name: string): string {
    const whole = `${this.#prefix}-${name}`;
    execFileSync('ip', ['netns', 'add', whole]);
    this.#extra.push(whole);
    execFileSync('ip', ['-n', whole, 'link', 'set', 'lo', 'up']);
    return `/run/netns/${whole}`;
  }

  /** A Node program inside a pod; its arguments are `process.argv.slice(1)`. */
  node(pod: PodName, program: string, ...args: readonly string[]): ChildProcess {
    return this.inside(this.netns(pod), program, ...args);
  }

  /** The same in any network namespace. */
  inside(netns: string, program: string, ...args: readonly string[]): ChildProcess {
    const command = [`--net=${netns}`, pinnedNode, '-e', program, ...args];
    const child = spawn('nsenter', command, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Its whole output, once it has ended. */
  async run(pod: PodName, program: string, ...args: readonly string[]): Promise<string> {
    const child = this.node(pod, program, ...args);
    let output = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await new Promise((resolve) => child.once('close', resolve));
    return output;
  }

  /** A server inside a pod that says "peer <address>" and then echoes. Resolves when it listens. */
  async echo(pod: PodName, port: number): Promise<void> {
    const child = this.node(pod, echoProgram, String(port));
    await new Promise<void>((resolve) => createInterface(child.stdout!).once('line', () => resolve()));
  }

  async remove(): Promise<void> {
    await this.stopZtunnel();
    this.#agent?.close();
    for (const child of this.#children) child.kill('SIGKILL');
    for (const name of [`${this.#prefix}-a`, `${this.#prefix}-b`, ...this.#extra]) {
      try {
        execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
      } catch {
        // It was never made.
      }
    }
    this.controlPlane.stop();
  }

  #makeNetwork(): void {
    const ipTool = (args: string) => execFileSync('ip', args.split(' '));
    for (const pod of ['a', 'b'] as const) ipTool(`netns add ${this.#prefix}-${pod}`);
    ipTool(`-n ${this.#prefix}-a link add eth0 type veth peer name eth0 netns ${this.#prefix}-b`);
    for (const pod of ['a', 'b'] as const) {
      const name = `${this.#prefix}-${pod}`;
      ipTool(`-n ${name} addr add ${address[pod]}/24 dev eth0`);
      ipTool(`-n ${name} link set lo up`);
      ipTool(`-n ${name} link set eth0 up`);
      ipTool(`-n ${name} route add default dev eth0`);
      captureAsIstio(this.netns(pod));
    }
  }
}

const echoProgram = `
require('node:net').createServer({ allowHalfOpen: true }, (s) => {
  s.on('error', () => {});
  s.write('peer ' + s.remoteAddress.replace('::ffff:', '') + '\\n');
  s.pipe(s);
}).listen({ port: +process.argv[1], backlog: 4096 }, () => console.log('up'));`;
