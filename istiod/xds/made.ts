import type { Resource } from '../model/resource.ts';

/** What was made of one object, of one type. */
export interface Made {
  readonly resources: readonly Resource[];
  /** Of the newest change of it, removals included. */
  readonly generation: number;
}
