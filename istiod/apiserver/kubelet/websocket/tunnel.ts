/** SPDY/3.1+portforward.k8s.io: the bytes of a SPDY connection in messages, whose borders mean nothing. */
import type { Duplex } from 'node:stream';
import { Channel } from '../../../../common/kube/kubelet/channel.ts';
import { WebSocketConnection } from './connection.ts';
import { closeCodes } from './frames.ts';

export function webSocketTunnel(socket: Duplex): Duplex {
  const connection = new WebSocketConnection(socket);
  const bytes = new Channel(0, {
    write: (_channel, chunk, done) => connection.send(chunk, done),
    end: (_channel, done) => {
      connection.close(closeCodes.normal);
      done();
    },
    closed: () => connection.close(closeCodes.goingAway),
  });
  bytes.on('error', () => undefined);
  connection
    .read((message) => bytes.deliver(message))
    .then(
      () => bytes.deliverEnd(),
      (e: Error) => bytes.destroy(e),
    );
  return bytes;
}
