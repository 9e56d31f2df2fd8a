/** Volumes of a pod: what is in their folders, and where containers see them. */
import type { Container, PodSpec } from '../../common/kube/kinds/core.ts';
import { parseQuantity } from '../../common/kube/quantity.ts';
import { isKnownField } from './env.ts';
import { mountFields, volumeFields } from './fields.ts';
import type { Problems } from './problems.ts';
import { planResourceField, type ResourceField } from './resources.ts';

export interface FileItem {
  readonly path: string;
  /** Permissions; undefined: the volume's. */
  readonly mode: number | undefined;
}

export type DownwardItem = FileItem &
  ({ readonly kind: 'field'; readonly fieldPath: string } | { readonly kind: 'resource'; readonly ref: ResourceField });

/** What files of a volume come from. */
export type FileSource =
  | {
      readonly kind: 'configMap' | 'secret';
      readonly name: string;
      readonly optional: boolean;
      /** Absent: every key, under its own name. */
      readonly items: readonly (FileItem & { readonly key: string })[] | undefined;
    }
  | {
      readonly kind: 'token';
      readonly path: string;
      /** Absent: the issuer itself. */
      readonly audience: string | undefined;
      readonly expirationSeconds: number;
    }
  | { readonly kind: 'downwardAPI'; readonly items: readonly DownwardItem[] };

export type HostPathType = (typeof hostPathTypes)[number];
const hostPathTypes = [
  ...['', 'DirectoryOrCreate', 'Directory', 'FileOrCreate', 'File', 'Socket', 'CharDevice', 'BlockDevice'],
] as const;

export type VolumeSource =
  /** `sizeLimit` in bytes; undefined: as much as the lab has memory. */
  | { readonly kind: 'emptyDir'; readonly sizeLimit: number | undefined }
  /** A path of this machine, which is every node's. */
  | { readonly kind: 'hostPath'; readonly path: string; readonly type: HostPathType }
  /** Read-only for containers. Several sources only in a projected volume. */
  | { readonly kind: 'files'; readonly mode: number; readonly sources: readonly FileSource[] };

export interface VolumePlan {
  readonly name: string;
  readonly source: VolumeSource;
}

export interface VolumeMountPlan {
  readonly volume: string;
  readonly mountPath: string;
  readonly readOnly: boolean;
  readonly subPath: string | undefined;
  /** The container's variables are expanded in it. */
  readonly subPathExpr: string | undefined;
}

type Loose = Readonly<Record<string, unknown>>;

const defaultMode = 0o644;

export function planVolumes(spec: PodSpec, field: string, problems: Problems): VolumePlan[] {
  return (spec.volumes ?? []).map((volume, i) => {
    const at = `${field}.volumes[${i}]`;
    problems.check(volume, at, volumeFields);
    return { name: volume.name, source: volumeSource(volume, at, problems) };
  });
}

function volumeSource(volume: Loose, at: string, problems: Problems): VolumeSource {
  const { emptyDir, hostPath, configMap, secret, projected, downwardAPI } = volume as Record<string, Loose | undefined>;
  const files = (from: Loose, ...sources: readonly FileSource[]): VolumeSource => ({
    kind: 'files',
    mode: Number(from['defaultMode'] ?? defaultMode),
    sources,
  });
  if (projected) {
    problems.only(projected, `${at}.projected`, ['sources', 'defaultMode']);
    const sources = (projected['sources'] ?? []) as readonly Loose[];
    const planned = sources.map((s, i) => projectedSource(s, `${at}.projected.sources[${i}]`, problems));
    return files(projected, ...planned.filter((s) => s !== undefined));
  }
  if (configMap)
    return files(configMap, namedSource('configMap', configMap, configMap['name'], `${at}.configMap`, problems));
  if (secret) return files(secret, namedSource('secret', secret, secret['secretName'], `${at}.secret`, problems));
  if (downwardAPI) return files(downwardAPI, downwardSource(downwardAPI, `${at}.downwardAPI`, problems));
  if (hostPath) return hostPathSource(hostPath, `${at}.hostPath`, problems);
  return emptyDirSource(emptyDir, `${at}.emptyDir`, problems);
}

/** Also of a volume that names no source, as Kubernetes takes it. */
function emptyDirSource(emptyDir: Loose | undefined, at: string, problems: Problems): VolumeSource {
  problems.check(emptyDir, at, {
    medium: { kind: 'refused', because: 'all of a lab is in memory', unless: ['', 'Memory'] },
    sizeLimit: { kind: 'honoured' },
  });
  const text = emptyDir?.['sizeLimit'];
  const sizeLimit = text === undefined || text === null ? undefined : parseQuantity(text);
  if (text !== undefined && text !== null && sizeLimit === undefined)
    problems.add(`${at}.sizeLimit`, `"${String(text)}" is not a quantity`);
  return { kind: 'emptyDir', sizeLimit: sizeLimit || undefined };
}

function hostPathSource(hostPath: Loose, at: string, problems: Problems): VolumeSource {
  problems.only(hostPath, at, ['path', 'type']);
  const path = String(hostPath['path'] ?? '');
  const type = String(hostPath['type'] ?? '');
  if (!path.startsWith('/') || path.split('/').includes('..'))
    problems.add(`${at}.path`, `"${path}" is not an absolute path without ..`);
  if (!(hostPathTypes as readonly string[]).includes(type))
    problems.add(`${at}.type`, `"${type}" is not one of ${hostPathTypes.filter((t) => t !== '').join(', ')}`);
  return { kind: 'hostPath', path, type: type as HostPathType };
}

function projectedSource(source: Loose, at: string, problems: Problems): FileSource | undefined {
  problems.only(source, at, ['serviceAccountToken', 'configMap', 'secret', 'downwardAPI']);
  const { serviceAccountToken: token, configMap, secret, downwardAPI } = source as Record<string, Loose | undefined>;
  if (token) {
    problems.only(token, `${at}.serviceAccountToken`, ['audience', 'expirationSeconds', 'path']);
    return {
      kind: 'token',
      path: checkedPath(token['path'], `${at}.serviceAccountToken.path`, problems),
      audience: token['audience'] as string | undefined,
      expirationSeconds: Number(token['expirationSeconds'] ?? 3600),
    };
  }
  if (configMap) return namedSource('configMap', configMap, configMap['name'], `${at}.configMap`, problems);
  if (secret) return namedSource('secret', secret, secret['name'], `${at}.secret`, problems);
  return downwardAPI && downwardSource(downwardAPI, `${at}.downwardAPI`, problems);
}

function namedSource(
  kind: 'configMap' | 'secret',
  source: Loose,
  name: unknown,
  at: string,
  problems: Problems,
): FileSource {
  problems.only(source, at, [kind === 'secret' ? 'secretName' : 'name', 'name', 'items', 'optional', 'defaultMode']);
  if (typeof name !== 'string') problems.add(at, 'the name is missing');
  const items = source['items'] as { key: string; path: string; mode?: number }[] | undefined;
  return {
    kind,
    name: String(name),
    optional: source['optional'] === true,
    items: items?.map(({ key, path, mode }, i) => ({
      key,
      path: checkedPath(path, `${at}.items[${i}].path`, problems),
      mode,
    })),
  };
}

function downwardSource(source: Loose, at: string, problems: Problems): FileSource {
  problems.only(source, at, ['items', 'defaultMode']);
  const items = (source['items'] ?? []) as readonly Loose[];
  return { kind: 'downwardAPI', items: items.map((item, i) => downwardItem(item, `${at}.items[${i}]`, problems)) };
}

function downwardItem(item: Loose, at: string, problems: Problems): DownwardItem {
  problems.only(item, at, ['path', 'mode', 'fieldRef', 'resourceFieldRef']);
  const path = checkedPath(item['path'], `${at}.path`, problems);
  const mode = item['mode'] as number | undefined;
  const { fieldRef, resourceFieldRef } = item as Record<string, Loose | undefined>;
  if (resourceFieldRef) {
    const ref = planResourceField(resourceFieldRef, `${at}.resourceFieldRef`, problems);
    if (ref.container === undefined)
      problems.add(`${at}.resourceFieldRef.containerName`, 'in a volume it must be given');
    return { kind: 'resource', path, mode, ref };
  }
  const fieldPath = String(fieldRef?.['fieldPath'] ?? '');
  if (!isKnownField(fieldPath))
    problems.add(`${at}.fieldRef.fieldPath`, `"${fieldPath}" is not a field of a pod that a lab gives out`);
  return { kind: 'field', path, mode, fieldPath };
}

function checkedPath(path: unknown, at: string, problems: Problems): string {
  if (typeof path !== 'string' || path === '' || path.startsWith('/') || path.split('/').includes('..'))
    problems.add(at, `"${String(path)}" is not a relative path without ..`);
  else if (path.startsWith('..')) problems.add(at, 'must not start with ..');
  return String(path);
}

export function planMounts(
  container: Container,
  field: string,
  volumes: readonly VolumePlan[],
  problems: Problems,
): VolumeMountPlan[] {
  return (container.volumeMounts ?? []).map((mount, i) => {
    const at = `${field}.volumeMounts[${i}]`;
    problems.check(mount, at, mountFields);
    if (!volumes.some((v) => v.name === mount.name)) {
      problems.add(`${at}.name`, `the pod has no volume called "${mount.name}"`);
    }
    if (!mount.mountPath.startsWith('/') || mount.mountPath === '/') {
      problems.add(`${at}.mountPath`, `"${mount.mountPath}" is not an absolute path below /`);
    }
    const subPathExpr = mount['subPathExpr'] as string | undefined;
    for (const [name, path] of Object.entries({ subPath: mount.subPath, subPathExpr }))
      if (path !== undefined && !isInnerPath(path))
        problems.add(`${at}.${name}`, 'must be a relative path and not contain ..');
    return {
      volume: mount.name,
      mountPath: mount.mountPath,
      readOnly: mount.readOnly ?? false,
      subPath: mount.subPath || undefined,
      subPathExpr: subPathExpr || undefined,
    };
  });
}

export function isInnerPath(path: string): boolean {
  return !path.startsWith('/') && !path.split('/').includes('..');
}
