/** What apps do in the mesh of one process. */
import type { Socket } from 'node:net';
import type { Ip, Port, SocketAddr } from '../../common/core/net.ts';

export function addr(address: Ip, port: number): SocketAddr {
  return { ip: address, port: port as Port };
}

export function echo(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.pipe(socket);
}

/** What comes back for `text`; empty when the connection is reset or closed. */
export async function call(socket: Socket, text: string): Promise<string> {
  let got = '';
  socket.on('error', () => undefined);
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    got += chunk;
  });
  socket.end(text);
  await closed(socket);
  return got;
}

/** once(socket, 'close') would fail with the reset that is expected here. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}
