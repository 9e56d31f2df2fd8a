/** Which resource a kind is: asked for by those that take objects of any kind. */
import { MeshError } from '../../core/errors.ts';
import { isObject } from '../schema/validate.ts';
import { groupPath, type ResourcePath } from './paths.ts';
import type { Transport } from './transport.ts';

export class Discovery {
  readonly #transport: Transport;
  readonly #known = new Map<string, ResourcePath>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** `apiVersion` as in objects: `v1`, `apps/v1`. MeshError NOT_FOUND when the server has no such kind. */
  async resourceOf(apiVersion: string, kind: string): Promise<ResourcePath> {
    const key = `${apiVersion}/${kind}`;
    const known = this.#known.get(key) ?? (await this.#ask(apiVersion, kind));
    // What is missing may come later, with a CustomResourceDefinition.
    this.#known.set(key, known);
    return known;
  }

  async #ask(apiVersion: string, kind: string): Promise<ResourcePath> {
    const [group, version] = apiVersion.includes('/')
      ? (apiVersion.split('/', 2) as [string, string])
      : ['', apiVersion];
    const missing = `the API server has no kind ${kind} in ${apiVersion}`;
    const list = await this.#transport
      .call({ method: 'GET', path: groupPath({ group, version }) })
      .catch((e: unknown) => {
        throw e instanceof MeshError && e.code === 'NOT_FOUND' ? new MeshError('NOT_FOUND', missing, { cause: e }) : e;
      });
    const resources: unknown = isObject(list) ? list['resources'] : undefined;
    for (const row of Array.isArray(resources) ? (resources as unknown[]) : []) {
      if (!isObject(row) || row['kind'] !== kind || typeof row['name'] !== 'string' || row['name'].includes('/'))
        continue;
      return { group, version, plural: row['name'], namespaced: row['namespaced'] === true };
    }
    throw new MeshError('NOT_FOUND', missing);
  }
}
