/** A server and a client pool of an HBONE engine, joined by loopback, with a fake CA. */
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import type { CancelSignal } from '../core/cancel.ts';
import { parseIp, parsePort, type SocketAddr } from '../core/net.ts';
import type { ConnectHeaders } from '../hbone/types.ts';

export const loopback = parseIp('127.0.0.1')!;

export function loopbackPort(port: number): SocketAddr {
  return { ip: loopback, port: parsePort(port)! };
}

/** A TCP listener on a free port; sockets are half-open capable, as the relay needs them. */
export async function listenTcp(onSocket: (socket: Socket) => void): Promise<{ server: Server; address: SocketAddr }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, onSocket);
  await new Promise<void>((resolve) => server.listen(0, loopback, resolve));
  return { server, address: loopbackPort((server.address() as AddressInfo).port) };
}

export function dialTcp(address: SocketAddr, signal?: CancelSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: address.ip, port: address.port, allowHalfOpen: true });
    const onAbort = () => {
      socket.destroy();
      reject(signal!.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => {
      signal?.removeEventListener('abort', onAbort);
      socket.off('error', reject);
      socket.on('error', () => undefined);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

export function connectHeaders(authority: string): ConnectHeaders {
  return {
    authority,
    baggage: 'k8s.namespace.name=default',
    forwarded: 'for="10.0.0.1:1000"',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
  };
}
