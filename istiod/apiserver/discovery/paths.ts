/** Everything that names no resource: discovery, OpenAPI, version, health, metrics. */
import type { ApiRequest, Reply } from '../http/api-request.ts';
import type { MetricsText } from '../http/metrics.ts';
import type { PathRequest } from '../http/request-info.ts';
import type { Registry } from '../resources/registry.ts';
import { noSuchPath, notAcceptable } from '../status.ts';
import {
  aggregated,
  apiGroup,
  apiGroupList,
  apiVersions,
  groupsOf,
  resourceList,
  type SubresourcesOf,
} from './groups.ts';
import { openApiV2, openApiV3, openApiV3Index, serverVersion } from './openapi.ts';
import { acceptsOpenApiProtobuf, encodeOpenApiV2, openApiProtobufType } from './openapi-protobuf.ts';

export interface PathsOptions {
  readonly registry: Registry;
  readonly subresources: SubresourcesOf;
  /** `10.0.0.1:6443`, as clients reach the server. */
  readonly address: () => string;
  /** Prometheus' text. */
  readonly metrics: () => Promise<MetricsText>;
  /** Why the server is not ready; undefined: it is. */
  readonly notReady: () => string | undefined;
}

export type PathHandler = (request: ApiRequest<PathRequest>) => Promise<Reply>;

const aggregatedType = /application\/json\s*;[^,]*g=apidiscovery\.k8s\.io[^,]*/g;

export function createPaths(options: PathsOptions): PathHandler {
  const { registry, subresources } = options;
  const kept = new Kept(registry);
  return async (request) => {
    const { path, verb } = request.info;
    if (verb !== 'get' && verb !== 'head') throw noSuchPath();
    const [root = '', first = '', second = '', ...more] = path.split('/').slice(1);
    if (more.length > 0 && root !== 'openapi') throw noSuchPath();
    switch (root) {
      case '':
        return json({
          paths: [
            '/api',
            '/apis',
            '/healthz',
            '/livez',
            '/metrics',
            '/openapi/v2',
            '/openapi/v3',
            '/readyz',
            '/version',
          ],
        });
      case 'api':
        if (first === '')
          return wantsAggregated(request)
            ? aggregatedReply(kept, registry, true, subresources)
            : json(apiVersions(options.address()));
        return second === ''
          ? found(kept.of(path, () => resourceList(registry.all(), '', first, subresources)))
          : noPath();
      case 'apis': {
        if (first === '')
          return wantsAggregated(request)
            ? aggregatedReply(kept, registry, false, subresources)
            : json(apiGroupList(registry.all()));
        if (second !== '') return found(kept.of(path, () => resourceList(registry.all(), first, second, subresources)));
        const group = groupsOf(registry.all()).find((g) => g.group === first);
        return found(group === undefined ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(group) });
      }
      case 'openapi':
        return openApi(kept, registry, path, String(request.headers.accept ?? '*/*'));
      case 'version':
        return json(versionInfo);
      case 'livez':
      case 'healthz':
        return text(200, 'ok');
      case 'readyz': {
        const reason = options.notReady();
        return reason === undefined ? text(200, 'ok') : text(503, `${reason}\n`);
      }
      case 'metrics': {
        const { contentType, text: body } = await options.metrics();
        return { kind: 'text', code: 200, contentType, text: body };
      }
      default:
        throw noSuchPath();
    }
  };
}

function openApi(kept: Kept, registry: Registry, path: string, accept: string): Reply {
  if (path === '/openapi/v2') {
    if (acceptsOpenApiProtobuf(accept)) {
      const bytes = kept.bytes(path, () => encodeOpenApiV2(openApiV2(registry)));
      return { kind: 'text', code: 200, contentType: openApiProtobufType, text: bytes };
    }
    if (!/json|\*\/\*/.test(accept)) throw notAcceptable(['application/json', openApiProtobufType]);
    return found(kept.of(path, () => openApiV2(registry)));
  }
  if (path === '/openapi/v3') return found(kept.of(path, () => openApiV3Index(registry)));
  if (path.startsWith('/openapi/v3/'))
    return found(kept.of(path, () => openApiV3(registry, path.slice('/openapi/v3/'.length))));
  return noPath();
}

const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(serverVersion) ?? [];

const versionInfo = {
  major,
  minor,
  gitVersion: `${serverVersion}+aquifer`,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: process.version,
  compiler: 'v8',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
};

/** Documents that are made once for each state of the registry. */
class Kept {
  readonly #registry: Registry;
  readonly #texts = new Map<string, string>();
  readonly #bytes = new Map<string, Buffer>();
  #generation = 0;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  of(name: string, make: () => object | undefined): string | undefined {
    this.#renew();
    const kept = this.#texts.get(name);
    if (kept !== undefined) return kept;
    const made = make();
    // Names come from clients: what is not there is not remembered.
    if (made === undefined) return undefined;
    const text = JSON.stringify(made);
    this.#texts.set(name, text);
    return text;
  }

  bytes(name: string, make: () => Buffer): Buffer {
    this.#renew();
    const made = this.#bytes.get(name) ?? make();
    this.#bytes.set(name, made);
    return made;
  }

  #renew(): void {
    if (this.#generation === this.#registry.generation) return;
    this.#texts.clear();
    this.#bytes.clear();
    this.#generation = this.#registry.generation;
  }
}

function wantsAggregated(request: ApiRequest<PathRequest>): boolean {
  const types = String(request.headers.accept ?? '').match(aggregatedType) ?? [];
  return types.some((t) => /\bv=v2\b/.test(t) && /as=APIGroupDiscoveryList/.test(t));
}

function aggregatedReply(kept: Kept, registry: Registry, core: boolean, subresources: SubresourcesOf): Reply {
  const document = kept.of(`aggregated ${core}`, () => aggregated(registry.all(), core, subresources));
  const contentType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
  return { kind: 'text', code: 200, contentType, text: document! };
}

function found(document: string | object | undefined): Reply {
  if (document === undefined) throw noSuchPath();
  return typeof document === 'string'
    ? { kind: 'text', code: 200, contentType: 'application/json', text: document! }
    : json(document);
}

function noPath(): never {
  throw noSuchPath();
}

function json(value: object): Reply {
  return { kind: 'text', code: 200, contentType: 'application/json', text: JSON.stringify(value) };
}

function text(code: number, body: string): Reply {
  return { kind: 'text', code, contentType: 'text/plain; charset=utf-8', text: body };
}
