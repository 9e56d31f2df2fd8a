/** What the parts of the daemon share. */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { Addresses } from '../addresses.ts';
import type { LabPaths } from '../names.ts';
import type { TokenIssuer } from '../tokens.ts';
import type { Cluster } from './cluster.ts';

export interface Runtime {
  readonly lab: string;
  readonly paths: LabPaths;
  /** The lab's own cgroup. */
  readonly cgroup: string;
  /** Folder of unpacked packages. */
  readonly cache: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly cluster: Cluster;
  readonly issuer: TokenIssuer;
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
  readonly labels: Readonly<Record<string, string>>;
}
