import type { HbonePool, HbonePoolOptions } from './types.ts';

export function createHbonePool(_options: HbonePoolOptions): HbonePool {
  throw new Error('being written');
}
