import type { Socket } from 'node:net';
import { hboneCompliance } from '../../test/compliance/hbone.ts';
import { hboneInnerCompliance } from '../../test/compliance/hbone-inner.ts';
import { parseSocketAddr, type SocketAddr } from '../core/net.ts';
import { dialTcp, listenTcp } from '../testing/hbone-rig.ts';
import { createHbonePool } from './pool.ts';
import { relay } from './relay.ts';
import { createHboneServer } from './server.ts';

const engine = {
  name: 'node',
  createServer: createHboneServer,
  createPool: createHbonePool,
  relay,
  sockets: {
    dial: dialTcp,
    listen: async (onSocket: (socket: Socket, remote: SocketAddr) => void) => {
      const { server, address } = await listenTcp((socket) => {
        socket.on('error', () => undefined);
        onSocket(socket, parseSocketAddr(`${socket.remoteAddress}:${socket.remotePort}`)!);
      });
      return { address, close: () => void server.close() };
    },
  },
};
hboneCompliance(engine);
hboneInnerCompliance(engine);
