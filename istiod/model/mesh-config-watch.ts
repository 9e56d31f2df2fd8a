/** Follows MeshConfig in its ConfigMaps, or its file; what cannot be read leaves the last good one. */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { followFiles } from '../../common/core/followed-files.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer } from '../../common/kube/informer.ts';
import { type ConfigMap, configMapKind } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { ModelConfig } from './config.ts';
import { defaultMeshConfig, type MeshConfig, parseMeshConfig } from './mesh-config.ts';

export interface MeshConfigOptions {
  readonly source: KubeSource;
  readonly namespace: string;
  readonly places: MeshConfigPlaces;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onChange: (config: MeshConfig) => void;
}

export interface MeshConfigWatch {
  /** Of the last texts that could be read. */
  readonly current: MeshConfig;
  /** What is wrong with the newest ones. */
  readonly problem: string | undefined;
  readonly synced: Promise<void>;
}

export interface MeshConfigPlaces {
  /** ConfigMaps of istiod's namespace, in the order in which they count, the last one most. */
  readonly names: readonly string[];
  /** Counts more than they. */
  readonly file: string | undefined;
}

/** Where istiod of a revision finds its own: a file that is named takes the place of its ConfigMap. Beneath it what all share. */
export function meshConfigPlaces({
  revision,
  sharedMeshConfig,
  meshConfigFile: file,
}: Pick<ModelConfig, 'revision' | 'sharedMeshConfig' | 'meshConfigFile'>): MeshConfigPlaces {
  const own = revision === 'default' ? 'istio' : `istio-${revision}`;
  const shared = sharedMeshConfig === undefined ? [] : [sharedMeshConfig];
  return { names: file === undefined ? [...shared, own] : shared, file };
}

/** Once, for what cannot change while istiod runs. Without an answer, the defaults. */
export async function readMeshConfig(
  options: Pick<MeshConfigOptions, 'source' | 'namespace' | 'places' | 'log'>,
): Promise<MeshConfig> {
  const { source, namespace, places, log } = options;
  const maps = await Promise.all(places.names.map((name) => source.get(configMapKind, { namespace, name })));
  const file = places.file === undefined ? [] : [await readFile(places.file, 'utf8').catch(unreadable(places.file))];
  const parsed = parseMeshConfig([...maps.map(textOf), ...file]);
  if (parsed.kind === 'ok') return parsed.config;
  log.error('MeshConfig cannot be read; the defaults hold', { reason: parsed.reason });
  return defaultMeshConfig;
}

export function watchMeshConfig(options: MeshConfigOptions): MeshConfigWatch {
  const { source, namespace, places, clock, log, signal } = options;
  let current = defaultMeshConfig;
  let problem: string | undefined;
  let ofFile: readonly string[] = [];
  const update = () => {
    const parsed = parseMeshConfig([...informers.map(({ objects }) => textOf([...objects.values()][0])), ...ofFile]);
    if (parsed.kind === 'invalid') {
      problem = parsed.reason;
      log.error('MeshConfig cannot be read; the last good one holds', { reason: parsed.reason });
      return;
    }
    problem = undefined;
    for (const warning of parsed.warnings) log.warn('MeshConfig has a key that is not known', { warning });
    if (JSON.stringify(parsed.config) === JSON.stringify(current)) return;
    current = parsed.config;
    options.onChange(current);
  };
  const handlers = { added: update, modified: update, deleted: update };
  const informers = places.names.map((name) =>
    createInformer({ source, kind: configMapKind, log, signal, handlers, within: { namespace, name } }),
  );
  const use = (texts: readonly string[]) => {
    ofFile = texts;
    update();
  };
  const followed =
    places.file === undefined ? undefined : followFiles({ paths: [places.file], clock, log, signal, use });
  return {
    get current() {
      return current;
    },
    get problem() {
      return problem;
    },
    synced: Promise.all([...informers.map((i) => i.synced), followed]).then(() => undefined),
  };
}

function unreadable(path: string) {
  return (e: unknown): never => {
    throw new MeshError('CONFIG', `--meshConfig: ${path} cannot be read: ${describeError(e)}`, { cause: e });
  };
}

function textOf(map: ConfigMap | undefined): string {
  return map?.data?.['mesh'] ?? '';
}
