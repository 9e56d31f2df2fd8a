/** Makes sure that an API server of our own has the mesh's kinds; definitions that somebody else manages stay as they are. */
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { KubeClient } from '../../common/kube/client/client.ts';
import { customResourceDefinitionKind } from '../../common/kube/kinds/extension.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { meshDefinitions } from './definitions.ts';

type Client = Pick<KubeClient, 'list' | 'apply' | 'document'>;

const fieldManager = 'aquifer-crds';
/** Ms between looks whether a kind is served, and after which it is left to come later. */
const lookAgain = millis(10);
const patience = 10_000;

/**
 * All at once: the server answers each after the disk has it, and syncs several together. One that is there as it should be is not sent:
 * to check all of them again took 0.3 s of each start. Resolves when the kinds are served.
 */
export async function installDefinitions(client: Client, clock: Clock, log: Logger): Promise<void> {
  const { items } = await client.list(customResourceDefinitionKind, new AbortController().signal);
  const there = new Map<string, object>(items.map((item) => [item.metadata.name, item]));
  const all = await Promise.all(
    meshDefinitions().map((definition) => {
      const stands = has(there.get(definition.metadata.name), definition);
      return stands ? definition : install(client, definition, log);
    }),
  );
  const groups = Map.groupBy(all.filter((d) => d !== undefined).flatMap(servedAs), (s) => s.path);
  const deadline = clock.now() + patience;
  for (const [path, kinds] of groups) {
    while (!(await serves(client, path, kinds))) {
      if (clock.now() > deadline) return log.warn('kinds are not served yet', { path });
      await sleep(clock, lookAgain, new AbortController().signal);
    }
  }
}

/** undefined: it is somebody else's. */
async function install(client: Client, definition: NewObject, log: Logger): Promise<NewObject | undefined> {
  try {
    await client.apply(definition, { fieldManager, force: false });
    return definition;
  } catch (e) {
    if (!(e instanceof MeshError) || e.code !== 'CONFLICT') throw e;
    log.warn('a CustomResourceDefinition is managed by somebody else and stays as it is', {
      name: definition.metadata.name,
      reason: e.message,
    });
    return undefined;
  }
}

/** Whether all that is wanted is there; more may be, such as defaults. */
function has(there: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return there === wanted;
  if (typeof there !== 'object' || there === null) return false;
  if (Array.isArray(wanted)) {
    return Array.isArray(there) && there.length === wanted.length && wanted.every((w, i) => has(there[i], w));
  }
  return Object.entries(wanted).every(
    ([name, w]) => w === undefined || has((there as Record<string, unknown>)[name], w),
  );
}

interface Served {
  readonly path: string;
  readonly plural: string;
}

interface Spec {
  readonly group: string;
  readonly names: { readonly plural: string };
  readonly versions: readonly { readonly name: string; readonly served: boolean }[];
}

function servedAs(definition: NewObject): readonly Served[] {
  const { group, names, versions } = definition['spec'] as Spec;
  return versions.filter((v) => v.served).map((v) => ({ path: `/apis/${group}/${v.name}`, plural: names.plural }));
}

async function serves(client: Client, path: string, kinds: readonly Served[]): Promise<boolean> {
  try {
    const { resources } = (await client.document(path)) as { readonly resources: readonly { readonly name: string }[] };
    const names = new Set(resources.map((r) => r.name));
    return kinds.every((k) => names.has(k.plural));
  } catch (e) {
    if (e instanceof MeshError && e.code === 'NOT_FOUND') return false;
    throw e;
  }
}
