/** What the parts of the daemon share. */
import type { Addresses } from '../addresses.ts';
import type { ProgramContext } from '../programs/context.ts';
import type { Cluster } from './cluster.ts';

export interface Runtime extends ProgramContext {
  /** Folder of unpacked packages. */
  readonly cache: string;
  readonly cluster: Cluster;
}

export interface LabNode {
  readonly name: string;
  /** 1 to 9. */
  readonly index: number;
  /** Of the Node object. */
  readonly uid: string;
  readonly address: Addresses;
  readonly netns: string;
  readonly cgroup: string;
}
