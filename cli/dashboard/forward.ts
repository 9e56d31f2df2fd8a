/** Connections to a port of this machine as connections to a pod's. */
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { tell } from '../print.ts';

/** Resolves when it listens. MeshError CONFIG when it cannot. */
export function forwardPort(dial: () => Promise<Duplex>, host: string, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    carry(dial, socket).catch((e: unknown) => {
      tell(`a connection was cut: ${describeError(e)}`);
      socket.destroy();
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', (e) => reject(new MeshError('CONFIG', `--address ${host} --port ${port}: ${e.message}`)));
    server.listen(port, host, () => resolve(server));
  });
}

async function carry(dial: () => Promise<Duplex>, socket: Socket): Promise<void> {
  const pod = await dial();
  await Promise.all([pipeline(socket, pod), pipeline(pod, socket)]);
}
