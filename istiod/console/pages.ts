/** The pages of the console over what istiod knows. */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { Holding } from '../ca/rotation/holding.ts';
import type { TrustedRoot } from '../ca/trust.ts';
import type { Catalog } from '../model/catalog.ts';
import type { EnvoyMesh } from '../model/envoy/mesh-view.ts';
import type { MeshSettings } from '../model/settings.ts';
import type { Reader } from './access.ts';
import type { ConsolePage } from './answers.ts';
import { MeshMirror } from './mirror.ts';
import { TrafficWatcher } from './traffic/watcher.ts';
import { certificatesOf, placesOfHoldings } from './views/certificates.ts';
import { graphOf, placesOf } from './views/graph.ts';
import { objectsOf, placeOf } from './views/objects.ts';
import { judge, type WhyQuestion, whyOf } from './views/why.ts';

export interface PageSources {
  readonly catalog: Catalog;
  /** What waypoints are told. */
  readonly envoy: EnvoyMesh;
  readonly settings: () => MeshSettings;
  /** Of the mesh's own kinds. */
  readonly objects: () => readonly KubeObject[];
  readonly certificates: () => Promise<readonly Holding[]>;
  readonly roots: () => readonly TrustedRoot[];
  /** Addresses of connected proxies. */
  readonly proxies: () => Iterable<string>;
  /** Where they serve metrics. */
  readonly metricsPort: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export function consolePages(sources: PageSources): Readonly<Record<string, ConsolePage>> {
  const { catalog, envoy, clock, log, proxies, metricsPort: port } = sources;
  const mirror = new MeshMirror(catalog, clock);
  const traffic = new TrafficWatcher({ proxies, port, clock, log });
  const ok = (body: unknown) => ({ kind: 'ok', body }) as const;
  return {
    whoami: async (reader) => ok({ user: reader.user }),
    async graph(reader) {
      const [seen] = await Promise.all([traffic.look(), mirror.refresh()]);
      return ok(graphOf(mirror, seen, await reader.readable(placesOf(mirror))));
    },
    async objects(reader) {
      const all = sources.objects();
      return ok(objectsOf(all, await reader.readable(all.map(placeOf))));
    },
    async object(reader, query) {
      const [kind, namespace, name] = [query.get('kind'), query.get('namespace') ?? '', query.get('name')];
      const found = sources
        .objects()
        .find((o) => o.kind === kind && (o.metadata.namespace ?? '') === namespace && o.metadata.name === name);
      // Whoever may not list it does not learn whether it is there.
      if (found === undefined || !(await mayRead(reader, found))) {
        return {
          kind: 'wrong',
          status: 404,
          message: `there is no ${kind} ${namespace}/${name} that your token may list`,
        };
      }
      return ok(found);
    },
    async certificates(reader) {
      const holdings = await sources.certificates();
      return ok(certificatesOf(holdings, sources.roots(), await reader.readable(placesOfHoldings(holdings))));
    },
    async why(reader, query) {
      const asked = questionOf(query);
      if (asked.kind === 'wrong') return { kind: 'wrong', status: 400, message: asked.message };
      const { question } = asked;
      await mirror.refresh();
      const { compat, rootNamespace } = sources.settings();
      const judged = judge({ mirror, envoy, compat, rootNamespace }, question);
      const nobody = {
        kind: 'wrong',
        status: 404,
        message: `no ${question.from} or ${question.to} with an address that your token may list`,
      } as const;
      if (judged === undefined) return nobody;
      const answer = whyOf(judged, await reader.readable([...judged.ends, ...judged.named]));
      if (answer.kind === 'unknown') return nobody;
      if (answer.kind === 'ok') return ok(answer.view);
      return { kind: 'wrong', status: 403, message: answer.message };
    },
  };
}

type Asked =
  | { readonly kind: 'ok'; readonly question: WhyQuestion }
  | { readonly kind: 'wrong'; readonly message: string };

/** `from`, `to` and `port`; of the request `method`, `path`, `host` and any number of `header`, each `NAME:VALUE`. */
function questionOf(query: URLSearchParams): Asked {
  const port = Number(query.get('port'));
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    return { kind: 'wrong', message: `port: ${query.get('port')} is no port` };
  const headers: (readonly [string, string])[] = [];
  for (const text of query.getAll('header')) {
    const colon = text.indexOf(':');
    if (colon <= 0) return { kind: 'wrong', message: `header: ${JSON.stringify(text)} is no NAME:VALUE` };
    headers.push([text.slice(0, colon).trim(), text.slice(colon + 1).trim()]);
  }
  const request = {
    method: query.get('method') || 'GET',
    path: query.get('path') || '/',
    host: query.get('host') || undefined,
    headers,
  };
  return { kind: 'ok', question: { from: query.get('from') ?? '', to: query.get('to') ?? '', port, request } };
}

async function mayRead(reader: Reader, object: KubeObject): Promise<boolean> {
  const place = placeOf(object);
  return (await reader.readable([place]))(place);
}
