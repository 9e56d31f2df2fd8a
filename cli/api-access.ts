/** Which API server a command talks to. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseDuration } from '../common/config/duration.ts';
import { type Settings, SettingsReader } from '../common/config/reader.ts';
import { millis } from '../common/core/brand.ts';
import { MeshError } from '../common/core/errors.ts';
import { type ApiAccess, type Impersonation, inClusterAccess } from '../common/kube/client/access.ts';
import { createKubeClient, type KubeClient } from '../common/kube/client/client.ts';
import { loadKubeconfig } from '../common/kube/client/kubeconfig.ts';
import { readSourcePlace } from '../common/kube/open-source.ts';
import { UsageError } from './arguments.ts';
import type { AccessValues } from './connection-options.ts';

/** By the flag --kubeconfig, KUBECONFIG, ~/.kube/config, or the pod that this is in. MeshError CONFIG, UsageError. */
export function apiAccess(values: AccessValues, env: Settings): ApiAccess {
  const access = ownAccess(values, env);
  return { ...access, impersonate: impersonation(values) ?? access.impersonate };
}

/** Connects when it is asked for something; to be closed. Errors as of `apiAccess`. */
export function openClient(values: AccessValues, env: Settings): KubeClient {
  return clientOf(apiAccess(values, env), values);
}

/** The same, where the access is known. UsageError. */
export function clientOf(access: ApiAccess, { 'kubeclient-timeout': text }: AccessValues): KubeClient {
  if (text === undefined) return createKubeClient({ access });
  const patience = parseDuration(text);
  if (patience !== undefined && patience > 0) return createKubeClient({ access, patience: millis(patience) });
  throw new UsageError(`--kubeclient-timeout: ${JSON.stringify(text)}: expected a duration such as 15s`);
}

function ownAccess({ kubeconfig, context }: AccessValues, env: Settings): ApiAccess {
  const paths = kubeconfigOf(kubeconfig, env);
  if (paths !== undefined) return loadKubeconfig(paths, { context });
  const place = readSourcePlace(new SettingsReader(env));
  if (place?.kind === 'inCluster') return inClusterAccess(place);
  throw new MeshError('CONFIG', 'no API server is named: --kubeconfig FILE, or KUBECONFIG');
}

function impersonation({ as: user, 'as-group': groups = [], 'as-uid': uid }: AccessValues): Impersonation | undefined {
  if (user !== undefined) return { user, groups, uid };
  if (groups.length > 0 || uid !== undefined) throw new UsageError('--as-group and --as-uid need --as USER');
  return undefined;
}

/** Paths with colons between; undefined where only the pod can tell. */
export function kubeconfigOf(flag: string | undefined, env: Settings): string | undefined {
  if (flag !== undefined) return flag;
  const place = readSourcePlace(new SettingsReader(env));
  if (place?.kind === 'kubeconfig') return place.paths;
  const home = env['HOME'];
  const usual = home === undefined ? undefined : join(home, '.kube/config');
  return usual !== undefined && existsSync(usual) ? usual : undefined;
}
