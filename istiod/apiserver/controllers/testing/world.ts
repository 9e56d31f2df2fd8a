/** Short forms of what tests of controllers ask a server for. */
import assert from 'node:assert/strict';
import { until } from '../../../../common/testing/until.ts';
import type { Json, TestClient } from '../../testing/client.ts';

export class World {
  readonly client: TestClient;

  constructor(client: TestClient) {
    this.client = client;
  }

  /** `path` is the collection: `/api/v1/namespaces/a/pods`. */
  async create(path: string, object: object): Promise<Json> {
    const { code, json } = await this.client.ask(path, { method: 'POST', body: object });
    assert.equal(code, 201, JSON.stringify(json));
    return json;
  }

  /** undefined: 404. */
  async get(path: string): Promise<Json | undefined> {
    const { code, json } = await this.client.ask(path);
    if (code === 404) return undefined;
    assert.equal(code, 200, JSON.stringify(json));
    return json;
  }

  async list(path: string): Promise<readonly Json[]> {
    return (await this.get(path))?.items ?? [];
  }

  async delete(path: string, body?: object): Promise<Json> {
    const { code, json } = await this.client.ask(path, { method: 'DELETE', ...(body && { body }) });
    assert.ok(code === 200 || code === 404, JSON.stringify(json));
    return json;
  }

  async patch(path: string, patch: object): Promise<Json> {
    const type = 'application/merge-patch+json';
    const { code, json } = await this.client.ask(path, { method: 'PATCH', body: patch, type });
    assert.equal(code, 200, JSON.stringify(json));
    return json;
  }

  /** Resolves with the object when `condition` holds of it. */
  when(path: string, condition: (object: Json) => boolean): Promise<Json> {
    return until(`condition of ${path}`, async () => {
      const object = await this.get(path);
      return object !== undefined && condition(object) ? object : undefined;
    });
  }

  gone(path: string): Promise<unknown> {
    return until(`${path} to be gone`, async () => (await this.get(path)) === undefined);
  }
}
