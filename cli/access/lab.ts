/** The istiod of a lab on this machine, which runs on a host of its own, in no pod. */
import { MeshError } from '../../common/core/errors.ts';
import type { Answer } from './http.ts';

/** Of the lab whose kubeconfig this is. */
export function labOf(kubeconfig: string | undefined): string | undefined {
  return /^\/run\/aquifer\/([a-z0-9]{1,12})\/kubeconfig$/.exec(kubeconfig ?? '')?.[1];
}

/** MeshError CONNECT_FAILED in one line. */
export async function askLabIstiod(
  name: string,
  port: number,
  path: string,
  alsoTaken: readonly number[],
): Promise<Answer> {
  const { Lab } = await import('../../lab/index.ts');
  const lab = await Lab.attach(name);
  const url = `http://127.0.0.1:${port}${path}`;
  const { code, stdout, stderr } = await lab.execOn('cp', ['curl', '-sS', '-m', '30', '-w', '\n%{http_code}', url]);
  const [, body = '', status = '0'] = /^([\s\S]*)\n(\d{3})$/.exec(stdout) ?? [];
  if (code === 0 && (status === '200' || alsoTaken.includes(Number(status)))) return { status: Number(status), body };
  const why = code === 0 ? `HTTP ${status}: ${body.trim()}` : stderr.trim().split('\n')[0];
  throw new MeshError('CONNECT_FAILED', `istiod of lab ${name} does not answer: ${why}`);
}
