/** What generators keep between two changes of the mesh. */
import type { Typed } from '../../common/envoy/codec.ts';
import type { MeshView } from './inputs.ts';
import type { EnvoyType } from './types.ts';

export interface Remembered<T> {
  /** undefined: it could not be made so far. */
  readonly value: T | undefined;
  /** The work that made it: names what a resource is made of. */
  readonly id: string;
}

/** Makes `make` under that name, or gives what it made before: when it would find nothing else, and when it throws now. */
export type Remember = <T>(id: string, make: (view: MeshView) => T) => Remembered<T>;

/** A resource for a proxy. Equal objects are taken for equal resources. */
export interface MadeResource {
  readonly type: EnvoyType;
  readonly name: string;
  readonly message: Typed;
  /** Ids of what it was made of. */
  readonly from: readonly string[];
}
