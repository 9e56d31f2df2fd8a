import type { HboneServer, HboneServerOptions } from './types.ts';

export function createHboneServer(_options: HboneServerOptions): HboneServer {
  throw new Error('being written');
}
