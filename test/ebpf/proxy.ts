/** Plays the node proxy for one pod: listeners inside its netns which tell the client where it was going. */
import dgram from 'node:dgram';
import net from 'node:net';
import dnsPacket from 'dns-packet';
import type { SteeringTargets } from '../../cni/capture/types.ts';
import type { Fd } from '../../common/core/brand.ts';
import { formatSocketAddr, type Ip, type Port, parseSocketAddr, type SocketAddr } from '../../common/core/net.ts';
import {
  bindSocket,
  originalDestination,
  podRouting,
  type SocketSpec,
  socketName,
  socketsInNetns,
} from '../../native/index.ts';

/** Every name has this address. */
export const answerAddress = '192.0.2.1';

/** The longest accept queue; the kernel's own limit in a new netns is the same. */
const backlog = 4096;

export interface ProxyOptions {
  /** What a plaintext connection gets: a JSON line about itself, or the app behind it, dialled from the client's address. */
  readonly inbound?: 'tell' | 'relay';
  /** In relay mode, bind the client's very port at the first try. */
  readonly sameport?: boolean;
  readonly dns?: boolean;
}

export class PodProxy {
  readonly targets: SteeringTargets;
  /** Captured connections by destination, in order. */
  readonly outbound: string[] = [];
  /** Connections to our port that nobody captured: dropped. */
  strays = 0;
  /** How often a dial to the app had to be tried a second time. */
  retries = 0;
  inbound: 'tell' | 'relay';
  /** Called while a captured connection is open at both ends. */
  onCapture: () => unknown = () => undefined;
  readonly #netns: Fd;
  readonly #sameport: boolean;
  readonly #close: (() => void)[] = [];

  constructor(netns: Fd, options: ProxyOptions = {}) {
    this.#netns = netns;
    this.inbound = options.inbound ?? 'tell';
    this.#sameport = options.sameport ?? false;
    const outbound4 = this.#listen(4, (c) => this.#onOutbound(c));
    const outbound6 = this.#listen(6, (c) => this.#onOutbound(c));
    const listeners = {
      plaintext4: this.#listen(4, (c) => this.#onInbound(c, 'plaintext')),
      plaintext6: this.#listen(6, (c) => this.#onInbound(c, 'plaintext')),
      hbone4: this.#listen(4, (c) => this.#onInbound(c, 'hbone')),
      hbone6: this.#listen(6, (c) => this.#onInbound(c, 'hbone')),
    };
    const ports = (v4: Fd, v6: Fd) => ({ v4: socketName(v4).port, v6: socketName(v6).port });
    this.targets = {
      outbound: ports(outbound4, outbound6),
      listeners,
      ...(options.dns !== false && {
        dnsUdp: ports(this.#answerDns(4), this.#answerDns(6)),
        dnsTcp: ports(
          this.#listen(4, (c) => this.#onDnsTcp(c)),
          this.#listen(6, (c) => this.#onDnsTcp(c)),
        ),
      }),
    };
  }

  /** Ends all listeners, as if the node proxy had died. */
  async close(): Promise<void> {
    const closed = this.#servers.map((s) => new Promise<void>((resolve) => s.close(() => resolve())));
    for (const close of this.#close.splice(0)) close();
    await Promise.all(closed);
  }

  readonly #servers: net.Server[] = [];

  #socket(spec: Omit<SocketSpec, 'bind'>): Fd {
    const ip = (spec.family === 4 ? '127.0.0.1' : '::1') as Ip;
    return socketsInNetns(this.#netns, { ...spec, bind: { ip, port: 0 as Port } }, 1)[0]!;
  }

  /** Node owns the descriptor; it stays valid for as long as the server listens. */
  #listen(family: 4 | 6, onConnection: (c: net.Socket) => void): Fd {
    // The accepted sockets have the app's own ports: without this an app that starts anew could not bind them.
    const fd = this.#socket({ family, type: 'stream', backlog, reuseAddr: true });
    const server = net.createServer({ allowHalfOpen: true }, (c) => {
      c.on('error', () => c.destroy());
      onConnection(c);
    });
    // Node calls listen(2) again: see ztunnel/proxy/accept.ts.
    const listen: (options: { readonly fd: Fd }, backlog: number) => unknown = server.listen.bind(server);
    listen({ fd }, backlog);
    this.#servers.push(server);
    return fd;
  }

  #answerDns(family: 4 | 6): Fd {
    const fd = this.#socket({ family, type: 'dgram' });
    const socket = dgram.createSocket(family === 4 ? 'udp4' : 'udp6');
    socket.on('message', (m, from) => socket.send(answer(m), from.port, from.address));
    socket.bind({ fd });
    this.#close.push(() => socket.close());
    return fd;
  }

  #onOutbound(c: net.Socket): void {
    const to = originalDestination(fdOf(c));
    if (to === undefined) {
      this.strays++;
      c.destroy();
      return;
    }
    const from = addressOf(c.remoteAddress, c.remotePort);
    this.outbound.push(formatSocketAddr(to));
    this.onCapture();
    c.end(JSON.stringify({ by: 'outbound', to: formatSocketAddr(to), from }));
    c.resume();
  }

  #onDnsTcp(c: net.Socket): void {
    const to = originalDestination(fdOf(c));
    c.end(JSON.stringify({ by: 'dns', to: to && formatSocketAddr(to) }));
    c.resume();
  }

  #onInbound(c: net.Socket, by: 'plaintext' | 'hbone'): void {
    const to = addressOf(c.localAddress, c.localPort);
    const from = addressOf(c.remoteAddress, c.remotePort);
    if (by === 'plaintext' && this.inbound === 'relay') {
      this.#relay(c, parseSocketAddr(to)!, parseSocketAddr(from)!, this.#sameport);
      return;
    }
    c.end(JSON.stringify({ by, to, from }));
    c.resume();
  }

  /** Dials the app from the client's address (ebpf-datapath 4, variant B). */
  #relay(c: net.Socket, to: SocketAddr, from: SocketAddr, sameport: boolean): void {
    const fd = socketsInNetns(
      this.#netns,
      {
        family: to.ip.includes(':') ? 6 : 4,
        type: 'stream',
        transparent: true,
        mark: podRouting.mark,
        reuseAddr: true,
      },
      1,
    )[0]!;
    bindSocket(fd, { ip: from.ip, port: sameport ? from.port : (0 as Port) });
    const app = net.connect({ fd, host: to.ip, port: to.port, allowHalfOpen: true } as net.NetConnectOpts);
    const timer = setTimeout(() => app.destroy(new Error('timeout')), 1500);
    app.on('connect', () => {
      clearTimeout(timer);
      c.pipe(app).pipe(c);
    });
    app.on('error', () => {
      clearTimeout(timer);
      if (sameport) {
        this.retries++;
        this.#relay(c, to, from, false);
      } else {
        c.resetAndDestroy();
      }
    });
    c.on('close', () => app.destroy());
  }
}

function fdOf(c: net.Socket): Fd {
  return (c as unknown as { _handle: { fd: number } })._handle.fd as Fd;
}

function addressOf(ip: string | undefined, port: number | undefined): string {
  const plain = (ip ?? '').replace(/^::ffff:/, '');
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`;
}

function answer(query: Buffer): Buffer {
  const { id, questions = [] } = dnsPacket.decode(query);
  return dnsPacket.encode({
    type: 'response',
    id: id ?? 0,
    flags: dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE,
    questions,
    answers: questions
      .filter((q) => q.type === 'A')
      .map((q) => ({ type: 'A', name: q.name, ttl: 5, data: answerAddress })),
  });
}
