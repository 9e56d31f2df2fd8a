/** `apply` and `delete`: one file an object in the cluster's folder, so that applying an object again replaces it. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { MeshError } from '../../common/core/errors.ts';
import { type Manifest, parseManifests } from '../../common/kube/folder/manifests.ts';
import { formatProblem } from '../../common/kube/manifests/problem.ts';
import { kindName } from '../../common/kube/names.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { ensureImages } from '../images.ts';
import { checkObject } from '../manifest/check.ts';
import type { FieldProblem } from '../manifest/problems.ts';
import type { LabPaths } from '../names.ts';
import { replaceFile } from '../tokens.ts';

/** Below the cluster's folder; other files in it are the user's own. */
const appliedFolder = 'applied';

/** `namespaces` are those that exist. All or nothing: MeshError CONFIG with every problem, one a line. Resolves when the files are written. */
export async function applyManifests(
  paths: LabPaths,
  yamlOrFile: string,
  namespaces: ReadonlySet<string>,
  progress: (line: string) => void,
): Promise<readonly Manifest[]> {
  const manifests = await readManifests(yamlOrFile);
  const known = new Set([
    ...namespaces,
    ...manifests.flatMap((m) => (m.entry.kind.kind === 'Namespace' ? m.name : [])),
  ]);
  const problems = manifests.flatMap((m) =>
    [...checkObject(m.object as unknown as KubeObject), ...checkNamespace(m, known)].map((p) =>
      formatProblem({ file: m.file, line: m.line, object: title(m), field: p.field, message: p.message }),
    ),
  );
  if (problems.length > 0) throw new MeshError('CONFIG', problems.join('\n'));
  await ensureImages([...new Set(manifests.flatMap(imagesOf))], progress);
  for (const m of manifests) {
    const file = manifestFile(paths, m);
    await mkdir(dirname(file), { recursive: true });
    await replaceFile(file, stringify(m.object));
  }
  return manifests;
}

function checkNamespace(m: Manifest, known: ReadonlySet<string>): FieldProblem[] {
  if (m.namespace === undefined || known.has(m.namespace)) return [];
  return [{ field: 'metadata.namespace', message: `namespace "${m.namespace}" does not exist; apply it first` }];
}

export async function deleteManifests(paths: LabPaths, yamlOrFile: string): Promise<readonly Manifest[]> {
  const manifests = await readManifests(yamlOrFile);
  for (const m of manifests) await rm(manifestFile(paths, m), { force: true });
  return manifests;
}

/** `Deployment shop/web` */
export function title(m: Manifest): string {
  return `${m.entry.kind.kind} ${m.namespace === undefined ? '' : `${m.namespace}/`}${m.name}`;
}

function manifestFile(paths: LabPaths, m: Manifest): string {
  return join(paths.cluster, appliedFolder, kindName(m.entry.kind), m.namespace ?? '_', `${m.name}.yaml`);
}

/** Text with more than one line, or a `key: value`, is YAML; anything else is the path of a file. */
async function readManifests(yamlOrFile: string): Promise<readonly Manifest[]> {
  const isText = yamlOrFile.includes('\n') || yamlOrFile.includes(': ');
  const file = isText ? 'manifest' : yamlOrFile;
  const { manifests, problems } = parseManifests(file, isText ? yamlOrFile : await read(yamlOrFile));
  if (problems.length > 0) throw new MeshError('CONFIG', problems.map(formatProblem).join('\n'));
  return manifests;
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (e) {
    throw new MeshError('CONFIG', `${path} cannot be read: ${(e as Error).message}`, { cause: e });
  }
}

interface WithContainers {
  readonly containers?: readonly { readonly image?: string }[];
  readonly initContainers?: readonly { readonly image?: string }[];
}

function imagesOf(m: Manifest): string[] {
  const spec = m.object['spec'] as (WithContainers & { template?: { spec?: WithContainers } }) | undefined;
  const pod =
    m.entry.kind.kind === 'Pod' ? spec : m.entry.kind.kind === 'Deployment' ? spec?.template?.spec : undefined;
  return [...(pod?.initContainers ?? []), ...(pod?.containers ?? [])].flatMap((c) => c.image ?? []);
}
