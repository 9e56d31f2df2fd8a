/** The real helm, pinned by test/helm/go.mod, and a chart of others. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../lab/config.ts';
import { ClientProgram } from './client-program.ts';
import { goProgramPath, skipWithoutGoPrograms } from './go-programs.ts';

const chartVersion = '2026.3.0';

/** An operator: big CustomResourceDefinitions, roles, a Deployment. */
export const chartWheel = {
  requirement: `dask-kubernetes==${chartVersion}`,
  inside: 'dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator',
} as const;

/** Where scripts/unpack-wheels.ts puts it. */
export function chartPath(): string {
  return join(cacheFolder(), 'programs', `chart-dask-${chartVersion}`, 'dask-kubernetes-operator');
}

/** As a `skip` option. */
export function skipWithoutHelm(): string | false {
  const missing = skipWithoutGoPrograms('helm');
  if (missing !== false || existsSync(chartPath())) return missing;
  const reason = `the chart ${chartWheel.requirement} is not unpacked: scripts/pinned-node scripts/unpack-wheels.ts`;
  if (process.env['REQUIRE_ALL'] === '1') throw new Error(`REQUIRE_ALL=1, and these tests cannot run: ${reason}`);
  return reason;
}

export class Helm extends ClientProgram {
  constructor(kubeconfig: string) {
    super(goProgramPath('helm'), kubeconfig);
  }
}
