/** Hooks of a container: what runs after its start and before its end. */
import type { Container, Probe } from '../../common/kube/kinds/core.ts';
import { type HttpAction, planHttp } from './probe.ts';
import type { Problems } from './problems.ts';

export type Hook =
  | HttpAction
  | { readonly kind: 'exec'; readonly command: readonly string[] }
  | { readonly kind: 'sleep'; readonly milliseconds: number };

interface Handler extends Pick<Probe, 'httpGet' | 'exec'> {
  readonly sleep?: { readonly seconds: number };
}

export interface Hooks {
  readonly postStart: Hook | undefined;
  readonly preStop: Hook | undefined;
}

export function planHooks(c: Container, at: string, problems: Problems): Hooks {
  const lifecycle = c['lifecycle'] as { readonly postStart?: Handler; readonly preStop?: Handler } | undefined;
  problems.only(lifecycle, `${at}.lifecycle`, ['postStart', 'preStop']);
  const hook = (name: 'postStart' | 'preStop') => planHook(c, lifecycle?.[name], `${at}.lifecycle.${name}`, problems);
  return { postStart: hook('postStart'), preStop: hook('preStop') };
}

function planHook(c: Container, handler: Handler | undefined, at: string, problems: Problems): Hook | undefined {
  problems.only(handler, at, ['exec', 'httpGet', 'sleep']);
  const { exec, httpGet, sleep } = handler ?? {};
  if (exec) return { kind: 'exec', command: exec.command ?? [] };
  if (sleep) return { kind: 'sleep', milliseconds: sleep.seconds * 1000 };
  return httpGet && planHttp(httpGet, c, `${at}.httpGet`, problems);
}
