/** The real kubectl, pinned. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../lab/config.ts';
import { ClientProgram } from './client-program.ts';

export const kubectlVersion = '1.37.1';

/** Where scripts/unpack-wheels.ts puts it. */
export function kubectlPath(): string {
  return join(cacheFolder(), 'programs', `kubectl-${kubectlVersion}`, 'kubectl');
}

/** As a `skip` option. */
export function skipWithoutKubectl(): string | false {
  if (existsSync(kubectlPath())) return false;
  const reason = `kubectl ${kubectlVersion} is not unpacked: scripts/pinned-node scripts/unpack-wheels.ts`;
  if (process.env['REQUIRE_ALL'] === '1') throw new Error(`REQUIRE_ALL=1, and these tests cannot run: ${reason}`);
  return reason;
}

export class Kubectl extends ClientProgram {
  constructor(kubeconfig: string) {
    super(kubectlPath(), kubeconfig);
  }
}
