/** Follows MeshConfig in its ConfigMaps; what cannot be read leaves the last good one. */
import type { Logger } from '../../common/core/log.ts';
import { createInformer } from '../../common/kube/informer.ts';
import { type ConfigMap, configMapKind } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { defaultMeshConfig, type MeshConfig, parseMeshConfig } from './mesh-config.ts';

export interface MeshConfigOptions {
  readonly source: KubeSource;
  readonly namespace: string;
  /** In the order in which they count, the last one most. */
  readonly names: readonly string[];
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

/** Where istiod of a revision finds its own; beneath it what all share. */
export function meshConfigNames(revision: string, shared: string | undefined): readonly string[] {
  const own = revision === 'default' ? 'istio' : `istio-${revision}`;
  return shared === undefined ? [own] : [shared, own];
}

/** Once, for what cannot change while istiod runs. Without an answer, the defaults. */
export async function readMeshConfig(
  options: Pick<MeshConfigOptions, 'source' | 'namespace' | 'names' | 'log'>,
): Promise<MeshConfig> {
  const { source, namespace, names, log } = options;
  const maps = await Promise.all(names.map((name) => source.get(configMapKind, { namespace, name })));
  const parsed = parseMeshConfig(maps.map(textOf));
  if (parsed.kind === 'ok') return parsed.config;
  log.error('MeshConfig cannot be read; the defaults hold', { reason: parsed.reason });
  return defaultMeshConfig;
}

export function watchMeshConfig(options: MeshConfigOptions): MeshConfigWatch {
  const { source, namespace, names, log, signal } = options;
  let current = defaultMeshConfig;
  let problem: string | undefined;
  const update = () => {
    const parsed = parseMeshConfig(informers.map(({ objects }) => textOf([...objects.values()][0])));
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
  const informers = names.map((name) =>
    createInformer({ source, kind: configMapKind, log, signal, handlers, within: { namespace, name } }),
  );
  return {
    get current() {
      return current;
    },
    get problem() {
      return problem;
    },
    synced: Promise.all(informers.map((i) => i.synced)).then(() => undefined),
  };
}

function textOf(map: ConfigMap | undefined): string {
  return map?.data?.['mesh'] ?? '';
}
