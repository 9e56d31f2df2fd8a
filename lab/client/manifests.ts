/** `apply` and `delete`: YAML to the lab's API server, by server-side apply, after a look at what a lab does not honour. */
import { readFile } from 'node:fs/promises';
import { MeshError } from '../../common/core/errors.ts';
import type { KubeClient } from '../../common/kube/client/client.ts';
import { ApiRefusal } from '../../common/kube/client/transport.ts';
import { namespaceKind, serviceAccountKind } from '../../common/kube/kinds/core.ts';
import { type ManifestObject, parseDocuments, titleOf } from '../../common/kube/manifests/documents.ts';
import { formatProblem, type Problem } from '../../common/kube/manifests/problem.ts';
import { refusalProblems } from '../../common/kube/manifests/refusal.ts';
import { checkObject as checkSchema } from '../../common/kube/schema/check-object.ts';
import { formatPath } from '../../common/kube/schema/validate.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { ensureImages } from '../images.ts';
import { checkObject, podSpecOf } from '../manifest/check.ts';
import { pause } from '../system/pause.ts';

const fieldManager = 'aquifer-lab';

/** Ms that an object waits for its kind: a definition of a moment ago is not served yet. */
const kindTimeout = 5_000;

/**
 * In the order of the text. MeshError CONFIG with every problem that the lab sees itself, one a line, and nothing applied; or with the
 * server's refusal of one object, after those before it. `progress` is told each object.
 */
export async function applyManifests(
  kube: KubeClient,
  yamlOrFile: string,
  progress: (line: string) => void,
): Promise<void> {
  const manifests = await readManifests(yamlOrFile);
  const problems = manifests.flatMap(problemsOf);
  if (problems.length > 0) throw new MeshError('CONFIG', problems.map(formatProblem).join('\n'));
  await ensureImages([...new Set(manifests.flatMap(imagesOf))], progress);
  for (const m of manifests) {
    await applyOne(kube, m);
    progress(`applied ${titleOf(m.object)}`);
  }
}

async function applyOne(kube: KubeClient, manifest: ManifestObject): Promise<void> {
  const { object } = manifest;
  const deadline = AbortSignal.timeout(kindTimeout);
  for (;;) {
    try {
      await kube.apply(object, { fieldManager, force: true });
      break;
    } catch (e) {
      if (!(e instanceof MeshError)) throw e;
      if (e.code !== 'NOT_FOUND' || e instanceof ApiRefusal || deadline.aborted) {
        throw new MeshError('CONFIG', refusalProblems(manifest, e).map(formatProblem).join('\n'), { cause: e });
      }
      await pause(50);
    }
  }
  if (object.apiVersion === 'v1' && object.kind === namespaceKind.kind) {
    // Pods that come next need it.
    const account = { namespace: object.metadata.name, name: 'default' };
    while ((await kube.get(serviceAccountKind, account)) === undefined) await pause(10);
  }
}

/** Objects that are gone already, or whose kind is, are passed over. */
export async function deleteManifests(
  kube: KubeClient,
  yamlOrFile: string,
  progress: (line: string) => void,
): Promise<void> {
  for (const { object } of await readManifests(yamlOrFile)) {
    await kube.remove(object);
    progress(`deleted ${titleOf(object)}`);
  }
}

/** Text with more than one line, or a `key: value`, is YAML; anything else is the path of a file. */
async function readManifests(yamlOrFile: string): Promise<readonly ManifestObject[]> {
  const isText = yamlOrFile.includes('\n') || yamlOrFile.includes(': ');
  const file = isText ? 'manifest' : yamlOrFile;
  const { objects, problems } = parseDocuments(file, isText ? yamlOrFile : await read(yamlOrFile));
  if (problems.length > 0) throw new MeshError('CONFIG', problems.map(formatProblem).join('\n'));
  return objects;
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (e) {
    throw new MeshError('CONFIG', `${path} cannot be read: ${(e as Error).message}`, { cause: e });
  }
}

function imagesOf({ object }: ManifestObject): string[] {
  const pod = podSpecOf(object)?.spec;
  return [...(pod?.initContainers ?? []), ...(pod?.containers ?? [])].flatMap((c) => c.image ?? []);
}

/** By the schema of its kind first, which the look at what a lab honours relies on; kinds of definitions the server knows. */
function problemsOf(manifest: ManifestObject): readonly Problem[] {
  const checked = checkSchema(manifest.object);
  if (checked.kind === 'invalid') {
    if (checked.entry === undefined) return [];
    return checked.issues.map((i) => manifest.problemAt(formatPath(i.path), i.message));
  }
  return checkObject(manifest.object as KubeObject).map((p) => manifest.problemAt(p.field, p.message));
}
