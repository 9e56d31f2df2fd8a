/** What starting a program of a lab takes. */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { LabPaths } from '../names.ts';

export interface ProgramContext {
  readonly lab: string;
  readonly paths: LabPaths;
  /** The lab's own cgroup. */
  readonly cgroup: string;
  readonly clock: Clock;
  readonly log: Logger;
}
