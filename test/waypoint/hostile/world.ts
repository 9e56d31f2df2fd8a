/** A waypoint as a process of its own, ours or Envoy, with backends behind it, good clients beside it, and hostile peers before it. */
import { Agent, request } from 'node:http';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import type { WorkloadCertificate } from '../../../common/identity/types.ts';
import { createFakeCa } from '../../../common/testing/fake-ca.ts';
import {
  preface,
  type RawPeer,
  rawClient,
  rawPlainClient,
  settingsAck,
  settingsFrame,
} from '../../../common/testing/h2-frames.ts';
import { until } from '../../../common/testing/until.ts';
import { Envoy } from '../../harness/envoy.ts';
import { WaypointProcess } from '../../harness/waypoint.ts';
import { type BackendServers, startBackends } from './backends.ts';
import { type Backends, type HbonePeer, hostileBootstrap } from './bootstrap.ts';

export type Engine = 'ours' | 'envoy';

export class World implements AsyncDisposable {
  readonly process: WaypointProcess | Envoy;
  readonly #backends: BackendServers;
  readonly #certificate: WorkloadCertificate;
  readonly #ports = new Map<string, number>();

  private constructor(process: WaypointProcess | Envoy, backends: BackendServers, certificate: WorkloadCertificate) {
    this.process = process;
    this.#backends = backends;
    this.#certificate = certificate;
  }

  static async start(engine: Engine = 'ours'): Promise<World> {
    const ca = await createFakeCa();
    const identity = (serviceAccount: string) => ({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount });
    const backends = await startBackends();
    const own = { certificate: await ca.issue(identity('waypoint')), root: ca.root };
    const waypoint = await startWaypoint(engine, backends, own);
    return new World(waypoint, backends, await ca.issue(identity('client')));
  }

  /** Paths that the backends have seen, in order. */
  get seen(): readonly string[] {
    return this.#backends.seen;
  }

  /** From now on. */
  forget(): void {
    this.#backends.forget();
  }

  async port(listener: string): Promise<number> {
    const known = this.#ports.get(listener);
    if (known !== undefined) return known;
    const port = await this.process.port(listener);
    this.#ports.set(listener, port);
    return port;
  }

  /** What comes for these bytes, in latin1, until the connection ends, or what came is `enough`. */
  async raw(listener: string, bytes: string, enough?: RegExp): Promise<string> {
    const socket = await this.socket(listener);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (enough?.test(text)) socket.destroy();
    });
    socket.write(bytes, 'latin1');
    await closed(socket);
    return text;
  }

  async socket(listener: string): Promise<Socket> {
    const socket = connect({ port: await this.port(listener), host: '127.0.0.1' });
    socket.on('error', () => undefined);
    return socket;
  }

  /** HTTP/2 by raw frames, the handshake done; by TLS with a certificate of the mesh where the listener is `hbone`. */
  async http2(listener: string): Promise<RawPeer> {
    const socket = await this.socket(listener);
    return shaken(listener === 'hbone' ? await rawClient(socket, this.#certificate) : await rawPlainClient(socket));
  }

  /** Calls on connections of their own, by both versions, until `during` is over. Rejects when one is not answered with 200. */
  async neighbours<T>(during: () => Promise<T>): Promise<{ readonly result: T; readonly calls: number }> {
    const port = await this.port('plain');
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on('error', () => undefined);
    let over = false;
    let calls = 0;
    const lane = async (call: () => Promise<number>) => {
      do {
        const status = await call();
        if (status !== 200) throw new Error(`a neighbour's call was answered with ${status}`);
        calls++;
      } while (!over);
    };
    const lanes = [lane(() => call1(agent, port)), lane(() => call1(agent, port)), lane(() => call2(session))];
    try {
      const [result] = await Promise.all([
        during().finally(() => {
          over = true;
        }),
        ...lanes,
      ]);
      return { result, calls };
    } finally {
      over = true;
      await Promise.allSettled(lanes);
      agent.destroy();
      session.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.stop();
    this.#backends.close();
  }
}

/** Resolves when its listeners accept; without `own` there is none for HBONE. */
export function startWaypoint(engine: Engine, backends: Backends, own?: HbonePeer): Promise<WaypointProcess | Envoy> {
  const bootstrap = hostileBootstrap(backends, own);
  return engine === 'ours' ? WaypointProcess.start(bootstrap) : Envoy.start(bootstrap);
}

/** The same to a port, in plain text. */
export async function plainHttp2(port: number): Promise<RawPeer> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => undefined);
  return shaken(await rawPlainClient(socket));
}

async function shaken(peer: RawPeer): Promise<RawPeer> {
  peer.send(preface, settingsFrame(), settingsAck);
  await until('SETTINGS', () => peer.closed || peer.frames.some((f) => f.type === 4 && f.flags === 1));
  return peer;
}

export async function closed(socket: Socket): Promise<void> {
  if (socket.destroyed) return;
  await new Promise((resolve) => socket.once('close', resolve));
}

function call1(agent: Agent, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path: '/neighbour', agent }, (answer) => {
      answer.resume();
      answer.on('error', reject);
      answer.on('end', () => resolve(answer.statusCode!));
    });
    asked.on('error', reject);
    asked.end();
  });
}

function call2(session: ClientHttp2Session): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/neighbour' });
    let status = 0;
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.on('error', reject);
    stream.on('close', () => resolve(status));
    stream.resume();
  });
}
