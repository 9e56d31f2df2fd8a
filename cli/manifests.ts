/** Files that the user names, as objects with their places. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describeError, MeshError } from '../common/core/errors.ts';
import { type Documents, parseDocuments } from '../common/kube/manifests/documents.ts';
import { formatProblem } from '../common/kube/manifests/problem.ts';
import type { KubeObject } from '../common/kube/types.ts';
import { tell } from './print.ts';

/** Folders with all that is below them; `-` is stdin. MeshError CONFIG. */
export async function readManifests(paths: readonly string[]): Promise<readonly Documents[]> {
  const documents: Documents[] = [];
  for (const path of paths) {
    if (path === '-') documents.push(parseDocuments('stdin', await text(process.stdin)));
    else for (const file of await filesOf(path)) documents.push(parseDocuments(file, await read(file)));
  }
  return documents;
}

async function filesOf(path: string): Promise<readonly string[]> {
  const is = await stat(path).catch((e: unknown) => {
    throw new MeshError('CONFIG', `${path} cannot be read: ${describeError(e)}`);
  });
  if (!is.isDirectory()) return [path];
  const names = await readdir(path, { recursive: true });
  return names
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort()
    .map((name) => join(path, name));
}

async function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((e: unknown) => {
    throw new MeshError('CONFIG', `${file} cannot be read: ${describeError(e)}`);
  });
}

const clusterScoped = new Set([
  ...['Namespace', 'Node', 'GatewayClass', 'CustomResourceDefinition'],
  ...['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'],
]);

/** As an API server has them, in the namespace `default` where none is named. What cannot be read is told. MeshError CONFIG. */
export async function readObjects(paths: readonly string[]): Promise<readonly KubeObject[]> {
  const files = await readManifests(paths);
  for (const problem of files.flatMap((f) => f.problems)) tell(formatProblem(problem));
  return files.flatMap((f) =>
    f.objects.map(({ object }) => {
      const { name, namespace = 'default' } = object.metadata;
      const place = clusterScoped.has(object.kind) ? {} : { namespace };
      return { ...object, metadata: { uid: name, resourceVersion: '', ...object.metadata, ...place } };
    }),
  );
}
