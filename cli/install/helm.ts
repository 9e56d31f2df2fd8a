/** helm of PATH. */
import { spawn } from 'node:child_process';
import { MeshError } from '../../common/core/errors.ts';

export interface HelmPlace {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** As whom it acts. */
  readonly user: string | undefined;
  readonly groups: readonly string[];
}

/** Where no cluster is asked. */
export const nowhere: HelmPlace = { kubeconfig: undefined, context: undefined, user: undefined, groups: [] };

/** What it printed. MeshError CONFIG with what it says where it fails, NOT_FOUND where there is none. */
export function helm(
  argv: readonly string[],
  input: string | undefined,
  { kubeconfig, context, user, groups }: HelmPlace,
): Promise<string> {
  const where = [
    ...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig]),
    ...(context === undefined ? [] : ['--kube-context', context]),
    ...(user === undefined ? [] : ['--kube-as-user', user]),
    ...groups.flatMap((group) => ['--kube-as-group', group]),
  ];
  return new Promise((resolve, reject) => {
    const child = spawn('helm', [...argv, ...where], { stdio: ['pipe', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk) => {
      out += String(chunk);
    });
    child.stderr.on('data', (chunk) => {
      err += String(chunk);
    });
    child.on('error', (e: NodeJS.ErrnoException) =>
      reject(new MeshError(e.code === 'ENOENT' ? 'NOT_FOUND' : 'CONFIG', `helm: ${e.message}`, { cause: e })),
    );
    child.on('close', (code) => {
      if (code === 0) return resolve(out);
      const said = err
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('WARNING:'))
        .join(' ');
      reject(new MeshError('CONFIG', `helm ${argv.slice(0, 3).join(' ')} failed: ${said}`));
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input ?? '');
  });
}
