/** The pages of the console over what istiod knows. */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { Holding } from '../ca/rotation/holding.ts';
import type { TrustedRoot } from '../ca/trust.ts';
import type { Catalog } from '../model/catalog.ts';
import type { MeshSettings } from '../model/settings.ts';
import type { Reader } from './access.ts';
import { MeshMirror } from './mirror.ts';
import type { ConsolePage } from './server.ts';
import { TrafficWatcher } from './traffic/watcher.ts';
import { certificatesOf, placesOfHoldings } from './views/certificates.ts';
import { graphOf, placesOf } from './views/graph.ts';
import { objectsOf, placeOf } from './views/objects.ts';
import { locate, whyOf } from './views/why.ts';

export interface PageSources {
  readonly catalog: Catalog;
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
  const { catalog, clock, log, proxies, metricsPort: port } = sources;
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
      const [from, to, port] = [query.get('from') ?? '', query.get('to') ?? '', Number(query.get('port'))];
      if (!Number.isInteger(port) || port < 1 || port > 65_535)
        return { kind: 'wrong', status: 400, message: `port: ${query.get('port')} is no port` };
      await mirror.refresh();
      const { compat, rootNamespace } = sources.settings();
      const mesh = { mirror, compat, rootNamespace };
      const located = locate(mesh, { from, to, port });
      const nobody = {
        kind: 'wrong',
        status: 404,
        message: `no ${from} or ${to} with an address that your token may list`,
      } as const;
      if (located === undefined) return nobody;
      const answer = whyOf(mesh, located, await reader.readable([...located.ends, ...located.named]));
      if (answer.kind === 'unknown') return nobody;
      if (answer.kind === 'ok') return ok(answer.view);
      return { kind: 'wrong', status: 403, message: answer.message };
    },
  };
}

async function mayRead(reader: Reader, object: KubeObject): Promise<boolean> {
  const place = placeOf(object);
  return (await reader.readable([place]))(place);
}
