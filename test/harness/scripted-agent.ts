/** A node agent as ztunnel sees it, that speaks ZDS as Istio's does (ambient-wire 6.4) and does what a test says. */
import { until } from '../../common/testing/until.ts';
import { decodeAck, decodeHello, encodeRequest } from '../../common/zds/codec.ts';
import type { WorkloadInfo, ZdsRequest } from '../../common/zds/types.ts';
import {
  closeFd,
  openNetns,
  type SeqpacketConnection,
  type SeqpacketListener,
  seqpacketListen,
} from '../../native/index.ts';

type Descriptors = NonNullable<Parameters<SeqpacketConnection['send']>[1]>;

/** One ztunnel that has connected. */
export class AgentConnection {
  readonly #connection: SeqpacketConnection;
  /** Errors of the acks, in their order. */
  readonly acks: string[] = [];
  closed = false;

  constructor(connection: SeqpacketConnection, onHello: () => void) {
    this.#connection = connection;
    let greeted = false;
    connection.onPacket(({ data }) => {
      if (!greeted && decodeHello(data).kind === 'ok') {
        greeted = true;
        onHello();
        return;
      }
      const ack = decodeAck(data);
      this.acks.push(ack.kind === 'ok' ? ack.value.error : `malformed: ${ack.reason}`);
    });
    connection.onClose(() => {
      this.closed = true;
    });
  }

  add(uid: string, info: WorkloadInfo, netnsPath: string): Promise<string> {
    const netns = openNetns(netnsPath);
    const answer = this.ask({ kind: 'add', uid, info }, [netns]);
    closeFd(netns);
    return answer;
  }

  /** The ack's error; empty: done. */
  ask(request: ZdsRequest, fds: Descriptors = []): Promise<string> {
    return this.raw(encodeRequest(request), fds);
  }

  /** Any bytes, with any descriptors; the error of the ack that comes next. */
  async raw(packet: Uint8Array, fds: Descriptors = []): Promise<string> {
    const n = this.acks.length;
    this.#connection.send(packet, fds);
    await until('the ack', () => this.acks.length > n, 10_000);
    return this.acks[n]!;
  }

  /** Without waiting for an answer, as no agent does. */
  push(packet: Uint8Array, fds: Descriptors = []): void {
    this.#connection.send(packet, fds);
  }

  hangUp(): void {
    this.#connection.close();
  }
}

export class ScriptedAgent {
  readonly #path: string;
  #listener: SeqpacketListener;
  readonly connections: AgentConnection[] = [];
  #hellos = 0;

  constructor(path: string) {
    this.#path = path;
    this.#listener = this.#listen();
  }

  /** How many ztunnels have said hello. */
  get hellos(): number {
    return this.#hellos;
  }

  get newest(): AgentConnection {
    return this.connections.at(-1)!;
  }

  /** Waits for the n-th hello. */
  async connected(n: number): Promise<AgentConnection> {
    await until(`hello ${n}`, () => this.#hellos >= n, 15_000);
    return this.newest;
  }

  /** After close(): listens again, as an agent that has been upgraded. */
  resume(): void {
    this.#listener = this.#listen();
  }

  /** All connections end, and nobody listens. */
  close(): void {
    this.#listener.close();
    for (const connection of this.connections) connection.hangUp();
  }

  #listen(): SeqpacketListener {
    const listener = seqpacketListen(this.#path);
    listener.onConnection((connection) => {
      this.connections.push(new AgentConnection(connection, () => this.#hellos++));
    });
    return listener;
  }
}
