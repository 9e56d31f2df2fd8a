/** By node:net, node:tls and node:http2: portable, readable, and what the native engine is compared with. */
import { createHbonePool } from '../../common/hbone/pool.ts';
import { relay } from '../../common/hbone/relay.ts';
import { createHboneServer } from '../../common/hbone/server.ts';
import { acceptFrom } from '../proxy/accept.ts';
import { dialer } from '../proxy/dial.ts';
import type { Engine } from './engine.ts';

export const nodeEngine: Engine = {
  accept(fd, onAccepted, onError) {
    const server = acceptFrom(fd, onAccepted);
    server.on('error', onError);
    return { close: () => void server.close() };
  },
  dialer,
  createServer: createHboneServer,
  createPool: createHbonePool,
  counters: () => ({ received: 0, sent: 0 }),
  relay,
  memory: undefined,
  handOver: undefined,
  begun: () => false,
};
