/** `bin/cni-agent` as a process of a test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Bed } from '../capture/bed.ts';

export const program = join(import.meta.dirname, '../../bin/cni-agent');

export class AgentProcess {
  output = '';
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.on('data', (d) => {
      this.output += d;
    });
    child.stderr!.on('data', (d) => {
      this.output += d;
    });
    this.exited = new Promise((resolve) => child.once('close', resolve));
  }

  /**
   * Of node n1, whose pods are in the bed's cgroup. `dir` has the file `kubeconfig`, and gets `ztunnel.sock`. It
   * captures as the bed does, if `env` says nothing else; `before` is what starts it.
   */
  static start(
    bed: Bed,
    dir: string,
    command: 'run' | 'uninstall',
    env: Readonly<Record<string, string>> = {},
    before: readonly string[] = [],
  ): AgentProcess {
    const argv = [`--net=${bed.netnsPath('node')}`, ...before, program, command, '--monitoring-port', '0'];
    const child = spawn('nsenter', argv, {
      env: {
        ...process.env,
        NODE_NAME: 'n1',
        KUBECONFIG: join(dir, 'kubeconfig'),
        INPOD_UDS: join(dir, 'ztunnel.sock'),
        AQUIFER_CGROUP_ROOT: bed.cgroup,
        AQUIFER_PROBER_CGROUP: join(bed.cgroup, 'kubelet'),
        AQUIFER_BPF_DIR: bed.pinDir,
        AQUIFER_WITHDRAW_GRACE: '100ms',
        AQUIFER_CAPTURE: bed.kind,
        RUST_LOG: 'debug',
        ...env,
      },
    });
    return new AgentProcess(child);
  }

  end(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.exited;
  }
}
