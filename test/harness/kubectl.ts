/** The real kubectl, pinned, with a kubeconfig and a home of its own. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from '../../lab/config.ts';

export const kubectlVersion = '1.37.1';

/** Where scripts/unpack-kubectl.ts puts it. */
export function kubectlPath(): string {
  return join(cacheFolder(), 'programs', `kubectl-${kubectlVersion}`, 'kubectl');
}

/** As a `skip` option. */
export function skipWithoutKubectl(): string | false {
  if (existsSync(kubectlPath())) return false;
  const reason = `kubectl ${kubectlVersion} is not unpacked: scripts/pinned-node scripts/unpack-kubectl.ts`;
  if (process.env['REQUIRE_ALL'] === '1') throw new Error(`REQUIRE_ALL=1, and these tests cannot run: ${reason}`);
  return reason;
}

export interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Kubectl {
  readonly #kubeconfig: string;

  constructor(kubeconfig: string) {
    this.#kubeconfig = kubeconfig;
  }

  /** `input` goes to its standard input, `more` into its environment. */
  run(args: readonly string[], input = '', more: Readonly<Record<string, string>> = {}): Promise<KubectlResult> {
    return new Promise((resolve, reject) => {
      // Its caches go beside the kubeconfig.
      const env = { PATH: process.env['PATH'], HOME: dirname(this.#kubeconfig), KUBECONFIG: this.#kubeconfig, ...more };
      const child = spawn(kubectlPath(), args, { env });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk) => {
        stdout += String(chunk);
      });
      child.stderr.on('data', (chunk) => {
        stderr += String(chunk);
      });
      child.on('error', reject);
      child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
    });
  }

  /** Standard output of a run that must succeed. */
  async ok(args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }
}
