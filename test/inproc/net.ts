/** A network in one process: made-up addresses, real loopback connections between them. */

import { once } from 'node:events';
import { type AddressInfo, createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { type Fd, fd } from '../../common/core/brand.ts';
import { MeshError } from '../../common/core/errors.ts';
import { formatSocketAddr, type Ip, type Port, type SocketAddr } from '../../common/core/net.ts';

export type OnConnection = (socket: Socket, remote: SocketAddr, local: SocketAddr) => void;

export interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

export class FakeNet {
  readonly #hub: Server;
  readonly #listeners = new Map<string, OnConnection>();
  readonly #sources = new Map<Fd, Ip>();
  readonly #arrivals = new Map<number, (socket: Socket) => void>();
  #nextFd = 1_000;
  #nextPort = 40_000;
  /** Targets that were dialled, in order. */
  readonly dialled: { readonly from: Ip; readonly to: string }[] = [];

  private constructor(hub: Server) {
    this.#hub = hub;
    hub.on('connection', (socket: Socket) => {
      const arrival = this.#arrivals.get(socket.remotePort!);
      if (arrival) arrival(socket);
      else this.#early.set(socket.remotePort!, socket);
    });
  }

  readonly #early = new Map<number, Socket>();

  static async start(): Promise<FakeNet> {
    const hub = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    hub.listen(0, '127.0.0.1');
    await once(hub, 'listening');
    return new FakeNet(hub);
  }

  close(): void {
    this.#hub.close();
  }

  listen(ip: Ip, port: number, onConnection: OnConnection): void {
    this.#listeners.set(`${formatSocketAddr({ ip, port: port as Port })}`, onConnection);
  }

  unlisten(ip: Ip, port: number): void {
    this.#listeners.delete(formatSocketAddr({ ip, port: port as Port }));
  }

  /** A descriptor that only `bind` and `dial` know. */
  socket(owner: Ip): Fd {
    const made = fd(this.#nextFd++);
    this.#sources.set(made, owner);
    return made;
  }

  bind(socket: Fd, address: SocketAddr): void {
    this.#sources.set(socket, address.ip);
  }

  async dial(socket: Fd, to: SocketAddr): Promise<Socket> {
    const from = this.#sources.get(socket)!;
    this.dialled.push({ from, to: formatSocketAddr(to) });
    const onConnection = this.#listeners.get(formatSocketAddr(to));
    if (!onConnection)
      throw new MeshError('CONNECT_FAILED', `connecting to ${formatSocketAddr(to)} failed: ECONNREFUSED`);
    const { near, far } = await this.pair();
    onConnection(far, { ip: from, port: this.#nextPort++ as Port }, to);
    return near;
  }

  /** Two ends of a real connection; the far one is paused. */
  async pair(): Promise<Pair> {
    const { port } = this.#hub.address() as AddressInfo;
    const near = netConnect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
    await once(near, 'connect');
    const local = near.localPort!;
    const early = this.#early.get(local);
    this.#early.delete(local);
    const far = early ?? (await new Promise<Socket>((resolve) => this.#arrivals.set(local, resolve)));
    this.#arrivals.delete(local);
    return { near, far };
  }
}
