/** Plays the node proxy for one pod: listeners inside its netns which tell the client where it was going. */
import dgram from 'node:dgram';
import net from 'node:net';
import dnsPacket from 'dns-packet';
import type { SteeringTargets } from '../../cni/capture/types.ts';
import type { Fd } from '../../common/core/brand.ts';
import { formatSocketAddr, isLoopback, type Port, parseSocketAddr, type SocketAddr } from '../../common/core/net.ts';
import {
  bindSocket,
  originalDestination,
  podRouting,
  proxyMark,
  socketName,
  socketsInNetns,
} from '../../native/index.ts';
import type { ListenerRole } from '../../ztunnel/control/messages.ts';
import { type ListenerOptions, planListeners } from '../../ztunnel/supervisor/listeners.ts';

/** Every name has this address. */
export const answerAddress = '192.0.2.1';

/** As the node proxy has them where nothing is set. */
const listenerOptions: ListenerOptions = {
  mark: proxyMark,
  ipv6: true,
  proxy: true,
  dnsProxy: true,
  dnsAddress: { kind: 'localhost', port: 15053 as Port },
  socks5: false,
  portReuse: true,
  keepAlive: undefined,
  userTimeout: undefined,
};

/** The longest accept queue; the kernel's own limit in a new netns is the same. */
const backlog = 4096;

export interface ProxyOptions {
  /** What a plaintext connection gets: a JSON line about itself, or the app behind it, dialled from the client's address. */
  readonly inbound?: 'tell' | 'relay';
  /** In relay mode, bind the client's very port at the first try. */
  readonly sameport?: boolean;
}

export class PodProxy {
  readonly targets: SteeringTargets;
  /** Captured connections by destination, in order. */
  readonly outbound: string[] = [];
  /** DNS messages over UDP. */
  questions = 0;
  /** Connections in plain text from outside. */
  plaintext = 0;
  /** Of those, how many have reached the app. */
  relayed = 0;
  /** Connections to our port that nobody captured: dropped. */
  strays = 0;
  /** How often a dial to the app had to be tried a second time. */
  retries = 0;
  inbound: 'tell' | 'relay';
  /** Called while a captured connection is open at both ends. */
  onCapture: () => unknown = () => undefined;
  readonly #netns: Fd;
  readonly dialMark: number;
  readonly #sameport: boolean;
  readonly #close: (() => void)[] = [];

  /** The listeners are those of the real node proxy. */
  constructor(netns: Fd, mode: 'steered' | 'fixed', options: ProxyOptions = {}) {
    this.#netns = netns;
    this.dialMark = mode === 'steered' ? podRouting.mark : proxyMark;
    this.inbound = options.inbound ?? 'tell';
    this.#sameport = options.sameport ?? false;
    const listeners = planListeners(mode, listenerOptions).map(({ role, family, spec }) => {
      const fd = socketsInNetns(netns, spec, 1)[0]!;
      this.#serve(role, family, fd);
      return { role, family, fd };
    });
    const at = (role: ListenerRole, family: 4 | 6) =>
      (listeners.find((l) => l.role === role && l.family === family) ?? listeners.find((l) => l.role === role))!.fd;
    const ports = (role: ListenerRole) => ({ v4: socketName(at(role, 4)).port, v6: socketName(at(role, 6)).port });
    this.targets = {
      outbound: ports('outbound'),
      listeners: {
        plaintext4: at('plaintext', 4),
        plaintext6: at('plaintext', 6),
        hbone4: at('hbone', 4),
        hbone6: at('hbone', 6),
      },
      dnsUdp: ports('dnsUdp'),
      dnsTcp: ports('dnsTcp'),
    };
  }

  /** Ends all listeners, as if the node proxy had died. */
  async close(): Promise<void> {
    const closed = this.#servers.map((s) => new Promise<void>((resolve) => s.close(() => resolve())));
    for (const close of this.#close.splice(0)) close();
    await Promise.all(closed);
  }

  readonly #servers: net.Server[] = [];

  /** Node owns the descriptor; it stays valid for as long as the server listens. */
  #serve(role: ListenerRole, family: 4 | 6, fd: Fd): void {
    if (role === 'dnsUdp') this.#answerDns(family, fd);
    else if (role === 'outbound') this.#listen(fd, (c) => this.#onOutbound(c));
    else if (role === 'dnsTcp') this.#listen(fd, (c) => this.#onDnsTcp(c));
    else if (role === 'plaintext' || role === 'hbone') this.#listen(fd, (c) => this.#onInbound(c, role));
  }

  #listen(fd: Fd, onConnection: (c: net.Socket) => void): void {
    const server = net.createServer({ allowHalfOpen: true }, (c) => {
      c.on('error', () => c.destroy());
      onConnection(c);
    });
    // Node calls listen(2) again: see ztunnel/proxy/accept.ts.
    const listen: (options: { readonly fd: Fd }, backlog: number) => unknown = server.listen.bind(server);
    listen({ fd }, backlog);
    this.#servers.push(server);
  }

  #answerDns(family: 4 | 6, fd: Fd): void {
    const socket = dgram.createSocket(family === 4 ? 'udp4' : 'udp6');
    socket.on('message', (m, from) => {
      this.questions++;
      socket.send(answer(m), from.port, from.address);
    });
    socket.bind({ fd });
    this.#close.push(() => socket.close());
  }

  #onOutbound(c: net.Socket): void {
    const to = originalDestination(fdOf(c));
    // Conntrack answers for a call that nobody captured, too: with the proxy's own address.
    if (to === undefined || isLoopback(to.ip)) {
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
    // With sk_lookup the address at which it arrived, after a redirect what conntrack remembers.
    const wanted = originalDestination(fdOf(c));
    const to = wanted ? formatSocketAddr(wanted) : addressOf(c.localAddress, c.localPort);
    const from = addressOf(c.remoteAddress, c.remotePort);
    if (by === 'plaintext') this.plaintext++;
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
        mark: this.dialMark,
        reuseAddr: true,
      },
      1,
    )[0]!;
    bindSocket(fd, { ip: from.ip, port: sameport ? from.port : (0 as Port) });
    const app = net.connect({ fd, host: to.ip, port: to.port, allowHalfOpen: true } as net.NetConnectOpts);
    const timer = setTimeout(() => app.destroy(new Error('timeout')), 1500);
    app.on('connect', () => {
      clearTimeout(timer);
      this.relayed++;
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
