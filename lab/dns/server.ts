/** DNS over UDP and TCP; answers what is decodable and drops the rest. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type DecodedPacket, decode, encode, TRUNCATED_RESPONSE } from 'dns-packet';
import { answer, udpLimit } from './answer.ts';
import type { Zone } from './zone.ts';

export interface DnsServerOptions {
  /** Listens on every address of both families. 0: a free port. */
  readonly port: number;
  zone(): Zone;
}

export interface DnsServer {
  readonly port: number;
  close(): void;
}

/** Rejects when the port is taken. */
export async function startDnsServer(o: DnsServerOptions): Promise<DnsServer> {
  const tcp = createServer((socket) => serveTcp(socket, o.zone));
  tcp.listen({ port: o.port, host: '::' });
  await once(tcp, 'listening');
  const { port } = tcp.address() as { port: number };
  // An answer must come from the address that was asked, so each family has a socket of its own.
  const udp = (['udp4', 'udp6'] as const).map((type) => createSocket({ type, ipv6Only: type === 'udp6' }));
  for (const socket of udp) {
    socket.on('message', (data, from) => {
      const query = tryDecode(data);
      if (query === undefined) return;
      const response = answer(query, o.zone());
      const whole = encode(response);
      const cut = { ...response, answers: [], authorities: [], flags: (response.flags ?? 0) | TRUNCATED_RESPONSE };
      socket.send(whole.length > udpLimit(query) ? encode(cut) : whole, from.port, from.address);
    });
    socket.bind(port);
    await once(socket, 'listening');
  }
  return {
    port,
    close: () => {
      tcp.close();
      for (const socket of udp) socket.close();
    },
  };
}

/** Messages have their length in front (RFC 1035 4.2.2). */
function serveTcp(socket: Socket, zone: () => Zone): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (data: Buffer) => {
    pending = Buffer.concat([pending, data]);
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0);
      const query = tryDecode(pending.subarray(2, end));
      pending = pending.subarray(end);
      if (query === undefined) return void socket.destroy();
      const bytes = encode(answer(query, zone()));
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      socket.write(Buffer.concat([length, bytes]));
    }
  });
}

/** undefined for bytes that are no query. */
function tryDecode(data: Buffer): DecodedPacket | undefined {
  try {
    const packet = decode(data);
    return packet.type === 'query' ? packet : undefined;
  } catch {
    return undefined;
  }
}
