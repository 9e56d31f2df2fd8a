/**
 * Two pods (network namespaces joined by a veth pair, redirects by nftables as Istio's agent makes them), a scripted node
 * agent, a stand-in for istiod, and the real supervisor with real workers.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../../common/core/clock.ts';
import { createLogger, LogLevels, type LogSink } from '../../common/core/log.ts';
import { ip, networkAddress, serves, service, workload } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { decodeAck, decodeHello, encodeRequest } from '../../common/zds/codec.ts';
import type { WorkloadInfo, ZdsRequest } from '../../common/zds/types.ts';
import { closeFd, openNetns, type SeqpacketConnection, seqpacketConnect, seqpacketListen } from '../../native/index.ts';
import { parseConfig } from '../../ztunnel/config.ts';
import { systemKernel } from '../../ztunnel/supervisor/kernel.ts';
import { spawnWorker } from '../../ztunnel/supervisor/spawn-worker.ts';
import { type Supervisor, startSupervisor } from '../../ztunnel/supervisor/supervisor.ts';
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

/** Rules of ambient-wire 6.2 for one pod, in words of ebpf-datapath 8. */
const redirects = `
table inet aquifer_test {
  chain pre_mangle { type filter hook prerouting priority mangle; meta mark 0x539 ct mark set 0x111; }
  chain out_mangle { type route hook output priority mangle; ct mark 0x111 meta mark set 0x111; }
  chain pre_nat { type nat hook prerouting priority dstnat;
    meta mark 0x539 return; iifname lo return; tcp dport 15008 return; meta l4proto tcp redirect to :15006; }
  chain out_nat { type nat hook output priority -100;
    ct mark 0x111 return; meta mark 0x539 return; ip daddr 127.0.0.0/8 return; oifname lo return;
    udp dport 53 redirect to :15053; meta l4proto tcp redirect to :15001; }
}`;

export class Bed {
  readonly controlPlane: ControlPlane;
  readonly lines: string[] = [];
  readonly #prefix = `aqz-${process.pid}`;
  readonly #children = new Set<ChildProcess>();
  #supervisor: Supervisor | undefined;
  #agent: Agent | undefined;

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

  get agent(): Agent {
    return this.#agent!;
  }

  get supervisor(): Supervisor {
    return this.#supervisor!;
  }

  /** The supervisor with its workers, which know these addresses, and an agent that it has connected to. */
  async startZtunnel(env: Record<string, string> = {}): Promise<void> {
    const zds = join(this.controlPlane.folder, 'ztunnel.sock');
    this.#agent ??= new Agent(zds);
    const { hellos } = this.#agent;
    const all = { ...this.controlPlane.env, NODE_NAME: 'node-1', INPOD_UDS: zds, ...env };
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
    const told = Array.from({ length: parsed.config.workers }, () =>
      this.controlPlane.tell([pods.a, pods.b, echoService]),
    );
    await Promise.all(told);
    await this.#agent.connected(hellos + 1);
  }

  async stopZtunnel(): Promise<void> {
    await this.#supervisor?.drain();
    this.#supervisor = undefined;
  }

  add(pod: PodName, uid = `uid-${pod}`): Promise<string> {
    const { name, namespace, serviceAccount } = pods[pod];
    return this.agent.add(uid, { name, namespace, serviceAccount }, this.netns(pod));
  }

  async ready(): Promise<void> {
    await until('readiness', async () => (await this.get('readiness', '/healthz/ready')) === 'ready\n', 15_000);
  }

  async get(server: 'admin' | 'metrics' | 'readiness', path: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.supervisor.ports[server]}${path}`);
    return response.text();
  }

  /** A Node program inside a pod; its arguments are `process.argv.slice(1)`. */
  node(pod: PodName, program: string, ...args: readonly string[]): ChildProcess {
    const command = [`--net=${this.netns(pod)}`, pinnedNode, '-e', program, ...args];
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
    for (const pod of ['a', 'b']) {
      try {
        execFileSync('ip', ['netns', 'del', `${this.#prefix}-${pod}`], { stdio: 'ignore' });
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
      ipTool(`-n ${name} rule add fwmark 0x111/0xfff priority 32764 lookup 100`);
      ipTool(`-n ${name} route add local default dev lo table 100`);
      execFileSync('nsenter', [`--net=${this.netns(pod)}`, 'nft', '-f', '-'], { input: redirects });
    }
  }
}

const echoProgram = `
require('node:net').createServer({ allowHalfOpen: true }, (s) => {
  s.on('error', () => {});
  s.write('peer ' + s.remoteAddress.replace('::ffff:', '') + '\\n');
  s.pipe(s);
}).listen({ port: +process.argv[1], backlog: 4096 }, () => console.log('up'));`;

/** The node agent's end of ZDS, scripted. */
export class Agent {
  readonly #listener: ReturnType<typeof seqpacketListen>;
  readonly #connections: SeqpacketConnection[] = [];
  readonly #acks: string[] = [];
  #hellos = 0;

  constructor(path: string) {
    this.#listener = seqpacketListen(path);
    this.#listener.onConnection((connection) => {
      this.#connections.push(connection);
      connection.onPacket(({ data }) => {
        if (decodeHello(data).kind === 'ok' && this.#hellos < this.#connections.length) {
          this.#hellos++;
          return;
        }
        const ack = decodeAck(data);
        this.#acks.push(ack.kind === 'ok' ? ack.value.error : `malformed: ${ack.reason}`);
      });
      connection.onClose(() => undefined);
    });
  }

  get hellos(): number {
    return this.#hellos;
  }

  /** Waits for the n-th hello. */
  async connected(n: number): Promise<void> {
    await until(`hello ${n}`, () => this.#hellos >= n, 15_000);
  }

  add(uid: string, info: WorkloadInfo, netnsPath: string): Promise<string> {
    const netns = openNetns(netnsPath);
    const answer = this.ask({ kind: 'add', uid, info }, [netns]);
    closeFd(netns);
    return answer;
  }

  /** The ack's error. */
  async ask(request: ZdsRequest, fds: Parameters<SeqpacketConnection['send']>[1] = []): Promise<string> {
    const n = this.#acks.length;
    this.#connections.at(-1)!.send(encodeRequest(request), fds);
    await until(`the ack of ${request.kind}`, () => this.#acks.length > n, 10_000);
    return this.#acks[n]!;
  }

  hangUp(): void {
    this.#connections.at(-1)!.close();
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
    this.#listener.close();
  }
}
