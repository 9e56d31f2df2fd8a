/** A Kubernetes-shaped cluster of network namespaces on one machine: the harness of tests, demo and bench. */
import { MeshError } from '../common/core/errors.ts';
import type { LabApi, LabOptions } from './api.ts';

export type {
  Capture,
  ExecOptions,
  ExecResult,
  HostName,
  LabApi,
  LabOptions,
  LabProcess,
  PodRef,
  ProgramName,
} from './api.ts';

export const Lab = {
  /** Takes down what an earlier lab of this name left, then resolves when nodes, DNS and (with `mesh`) the programs run. */
  async up(options: LabOptions = {}): Promise<LabApi> {
    throw new MeshError('CONFIG', `the lab is not written yet: ${options.name}`);
  },
  /** A lab that runs already; MeshError NOT_FOUND when there is none of this name. */
  async attach(name = 'demo'): Promise<LabApi> {
    throw new MeshError('NOT_FOUND', `no lab is called ${name}`);
  },
  /** Names of the labs on this machine, also of those whose daemon is dead. */
  async names(): Promise<readonly string[]> {
    return [];
  },
};
