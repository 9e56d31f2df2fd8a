/**
 * What moves bytes, behind one object: HBONE server, HBONE pool and relay. `node` is the engine today, `native` puts its own
 * in the same place (DESIGN 6); everything above only decides and accounts.
 */
import { createHbonePool } from '../common/hbone/pool.ts';
import { relay } from '../common/hbone/relay.ts';
import { createHboneServer } from '../common/hbone/server.ts';
import type { HbonePool, HbonePoolOptions, HboneServer, HboneServerOptions } from '../common/hbone/types.ts';

export interface Engine {
  createServer(options: HboneServerOptions): HboneServer;
  createPool(options: HbonePoolOptions): HbonePool;
  readonly relay: typeof relay;
}

export const nodeEngine: Engine = { createServer: createHboneServer, createPool: createHbonePool, relay };
