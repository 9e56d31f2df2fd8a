/** `aquifer proxy-config route`. Pure. */
import { ruleOf } from './clusters.ts';
import { get, type Json, objects } from './dump.ts';
import type { Table } from './table.ts';

/** Routes that go nowhere of the mesh. */
const passthrough = 'PassthroughCluster';
/** Domains that are shown of a virtual host. */
const mostDomains = 2;

export function chosenRoutes(routes: readonly Json[], name: string | undefined): readonly Json[] {
  return routes
    .filter((r) => name === undefined || r['name'] === name)
    .toSorted((a, b) => Number(a['name']) - Number(b['name']) || 0);
}

export function routeTable(routes: readonly Json[], verbose: boolean): Table {
  if (!verbose) {
    return {
      header: ['NAME', 'VIRTUAL HOSTS'],
      rows: routes.map((r) => [String(r['name']), String(objects(r['virtual_hosts']).length)]),
    };
  }
  return {
    header: ['NAME', 'VHOST NAME', 'DOMAINS', 'MATCH', 'VIRTUAL SERVICE'],
    rows: routes.flatMap((config) =>
      objects(config['virtual_hosts']).flatMap((host) => {
        const head = [String(config['name']), String(host['name']), domainsOf(texts(host['domains']))];
        const all = objects(host['routes']);
        if (all.length === 0) return [[...head, '/*', '404']];
        return all
          .filter((r) => get(r, 'route', 'cluster') !== passthrough)
          .map((r) => [...head, matchOf((r['match'] ?? {}) as Json), ruleOf(r)]);
      }),
    ),
  };
}

/** The shortest names of each host, without those with ports. */
export function domainsOf(domains: readonly string[]): string {
  if (domains.length < 2) return domains[0] ?? '';
  const plain = domains.filter((d) => !d.includes(':') || d.endsWith(']'));
  const all = new Set(plain);
  const short = plain.filter((d) =>
    ['.svc.cluster.local', '.svc'].every((end) => !d.endsWith(end) || !all.has(d.slice(0, -end.length))),
  );
  const shown = short.slice(0, mostDomains).join(', ');
  return short.length > mostDomains ? `${shown} + ${short.length - mostDomains} more...` : shown;
}

/** What of a request's path is matched. */
export function matchOf(match: Json): string {
  const { prefix, path_separated_prefix: separated, path } = match;
  const regex = get(match, 'safe_regex', 'regex');
  return [
    ...(prefix ? [`${prefix}*`] : []),
    ...(separated ? [`PathPrefix:${separated}`] : []),
    ...(path ? [String(path)] : []),
    ...(regex === undefined ? [] : [`regex ${regex}`]),
  ].join(' ');
}

export function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
