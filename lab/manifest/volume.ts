/** Volumes of a pod: what is written into their folders, and where containers see them. */
import type { Container, PodSpec } from '../../common/kube/kinds/core.ts';
import type { Problems } from './problems.ts';

export type VolumeSource =
  | { readonly kind: 'emptyDir' }
  | {
      readonly kind: 'configMap' | 'secret';
      readonly name: string;
      readonly optional: boolean;
      /** Absent: every key, under its own name. */
      readonly items: readonly { readonly key: string; readonly path: string }[] | undefined;
    }
  | {
      readonly kind: 'token';
      readonly path: string;
      /** Absent: the issuer itself. */
      readonly audience: string | undefined;
      readonly expirationSeconds: number;
    }
  | {
      readonly kind: 'downwardAPI';
      readonly items: readonly { readonly path: string; readonly fieldPath: string }[];
    };

export interface VolumePlan {
  readonly name: string;
  /** Several only in a projected volume. */
  readonly sources: readonly VolumeSource[];
}

export interface VolumeMountPlan {
  readonly volume: string;
  readonly mountPath: string;
  readonly readOnly: boolean;
  readonly subPath: string | undefined;
}

type Loose = Readonly<Record<string, unknown>>;

export function planVolumes(spec: PodSpec, field: string, problems: Problems): VolumePlan[] {
  return (spec.volumes ?? []).map((volume, i) => {
    const at = `${field}.volumes[${i}]`;
    problems.only(volume, at, ['name', 'emptyDir', 'configMap', 'secret', 'projected', 'downwardAPI']);
    return { name: volume.name, sources: volumeSources(volume, at, problems) };
  });
}

function volumeSources(volume: Loose, at: string, problems: Problems): VolumeSource[] {
  const { emptyDir, configMap, secret, projected, downwardAPI } = volume as Record<string, Loose | undefined>;
  if (projected !== undefined) {
    problems.only(projected, `${at}.projected`, ['sources', 'defaultMode']);
    const sources = (projected['sources'] ?? []) as readonly Loose[];
    return sources.flatMap((source, i) => projectedSource(source, `${at}.projected.sources[${i}]`, problems) ?? []);
  }
  if (configMap) return [namedSource('configMap', configMap, configMap['name'], `${at}.configMap`, problems)];
  if (secret) return [namedSource('secret', secret, secret['secretName'], `${at}.secret`, problems)];
  if (downwardAPI) return [downwardSource(downwardAPI, `${at}.downwardAPI`, problems)];
  // Where an emptyDir lives and how large it may grow (medium, sizeLimit) is all memory here.
  if (emptyDir !== undefined) problems.only(emptyDir ?? undefined, `${at}.emptyDir`, ['medium', 'sizeLimit']);
  else problems.add(at, 'a volume needs one of emptyDir, configMap, secret, projected, downwardAPI');
  return [{ kind: 'emptyDir' }];
}

function projectedSource(source: Loose, at: string, problems: Problems): VolumeSource | undefined {
  problems.only(source, at, ['serviceAccountToken', 'configMap', 'secret', 'downwardAPI']);
  const { serviceAccountToken: token, configMap, secret, downwardAPI } = source as Record<string, Loose | undefined>;
  if (token) {
    problems.only(token, `${at}.serviceAccountToken`, ['audience', 'expirationSeconds', 'path']);
    return {
      kind: 'token',
      path: String(token['path']),
      audience: token['audience'] as string | undefined,
      expirationSeconds: Number(token['expirationSeconds'] ?? 3600),
    };
  }
  if (configMap) return namedSource('configMap', configMap, configMap['name'], `${at}.configMap`, problems);
  if (secret) return namedSource('secret', secret, secret['name'], `${at}.secret`, problems);
  if (downwardAPI) return downwardSource(downwardAPI, `${at}.downwardAPI`, problems);
  return undefined;
}

function namedSource(
  kind: 'configMap' | 'secret',
  source: Loose,
  name: unknown,
  at: string,
  problems: Problems,
): VolumeSource {
  problems.only(source, at, [kind === 'secret' ? 'secretName' : 'name', 'name', 'items', 'optional', 'defaultMode']);
  if (typeof name !== 'string') problems.add(at, 'the name is missing');
  const items = source['items'] as { key: string; path: string }[] | undefined;
  return { kind, name: String(name), optional: source['optional'] === true, items };
}

function downwardSource(source: Loose, at: string, problems: Problems): VolumeSource {
  problems.only(source, at, ['items', 'defaultMode']);
  const items = (source['items'] ?? []) as { path: string; fieldRef?: { fieldPath: string } }[];
  return {
    kind: 'downwardAPI',
    items: items.flatMap((item, i) => {
      problems.only(item, `${at}.items[${i}]`, ['path', 'fieldRef']);
      return item.fieldRef ? [{ path: item.path, fieldPath: item.fieldRef.fieldPath }] : [];
    }),
  };
}

export function planMounts(
  container: Container,
  field: string,
  volumes: readonly VolumePlan[],
  problems: Problems,
): VolumeMountPlan[] {
  return (container.volumeMounts ?? []).map((mount, i) => {
    const at = `${field}.volumeMounts[${i}]`;
    problems.only(mount, at, ['name', 'mountPath', 'readOnly', 'subPath']);
    if (!volumes.some((v) => v.name === mount.name)) {
      problems.add(`${at}.name`, `the pod has no volume called "${mount.name}"`);
    }
    if (!mount.mountPath.startsWith('/') || mount.mountPath === '/') {
      problems.add(`${at}.mountPath`, `"${mount.mountPath}" is not an absolute path below /`);
    }
    if (mount.subPath?.split('/').includes('..')) problems.add(`${at}.subPath`, 'must not contain ..');
    return {
      volume: mount.name,
      mountPath: mount.mountPath,
      readOnly: mount.readOnly ?? false,
      subPath: mount.subPath,
    };
  });
}
