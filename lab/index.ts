/** A Kubernetes-shaped cluster of network namespaces on one machine: the harness of tests, demo and bench. */
import { MeshError } from '../common/core/errors.ts';
import type { LabApi, LabOptions } from './api.ts';
import { cleanUp, labNames } from './cleanup.ts';
import { openLab } from './client/lab-client.ts';
import { bringUp } from './client/up.ts';
import { readLabConfig } from './daemon/lab-config.ts';
import { checkLabName } from './names.ts';

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
  /** Takes down what an earlier lab of this name left, then resolves when nodes and DNS work and the programs are started. */
  up(options: LabOptions = {}): Promise<LabApi> {
    return bringUp(options);
  },

  /** A lab that is there already; MeshError NOT_FOUND when there is none of this name. */
  async attach(name = 'demo', progress: (line: string) => void = () => undefined): Promise<LabApi> {
    const config = await readLabConfig(checkLabName(name));
    if (config === undefined)
      throw new MeshError('NOT_FOUND', `no lab is called ${name}; start it: aquifer lab up --lab ${name}`);
    return openLab(config, progress);
  },

  /** Names of the labs on this machine, also of what a killed one left. */
  async names(): Promise<readonly string[]> {
    return labNames();
  },

  /** Removes everything that carries this name, whatever state it is in. */
  async down(name = 'demo'): Promise<void> {
    await cleanUp(checkLabName(name));
  },
};
