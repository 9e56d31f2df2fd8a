/** `npm run bench -- l7 --match`: how long a route table of 10,000 routes takes to decide. No sockets, no Envoy. */
import { Headers } from '../../waypoint/request/headers.ts';
import type { RequestView } from '../../waypoint/request/view.ts';
import { compileRoutes } from '../../waypoint/route/table.ts';
import { median } from '../statistics.ts';

const routes = 10_000;
const requests = 2_000;
const rounds = 21;
/** Microseconds (issue 7). */
const goal = 20;

export function benchMatch(): void {
  for (const { name, hosts, match, path } of shapes) report(name, hosts, match, path);
}

interface Shape {
  readonly name: string;
  /** Virtual hosts that the routes are spread over. */
  readonly hosts: number;
  match(i: number): object;
  path(i: number): string;
}

const shapes: readonly Shape[] = [
  {
    name: 'exact paths',
    hosts: 1,
    match: (i) => ({ path: `/api/v1/things/${i}` }),
    path: (i) => `/api/v1/things/${i}?q=1`,
  },
  {
    name: 'prefixes',
    hosts: 1,
    match: (i) => ({ path_separated_prefix: `/api/team${i}/v1` }),
    path: (i) => `/api/team${i}/v1/x/y`,
  },
  {
    name: 'expressions',
    hosts: 1,
    match: (i) => ({ safe_regex: { regex: `/api/team${i}/[0-9]+` } }),
    path: (i) => `/api/team${i}/7`,
  },
  { name: 'hosts', hosts: 10_000, match: () => ({ prefix: '/' }), path: () => '/' },
];

function report(name: string, hosts: number, match: Shape['match'], path: Shape['path']): void {
  const perHost = routes / hosts;
  const virtualHosts = Array.from({ length: hosts }, (_, h) => ({
    name: `h${h}`,
    domains: [`h${h}.test`],
    routes: Array.from({ length: perHost }, (_, i) => ({ match: match(h * perHost + i), route: { cluster: 'c' } })),
  }));
  const began = performance.now();
  const made = compileRoutes({ virtual_hosts: virtualHosts }, new Map());
  if (made.kind !== 'ok') throw new Error(made.reason);
  const compiled = performance.now() - began;
  const asked = Array.from({ length: requests }, (_, k) => {
    const i = Math.floor((k * routes) / requests);
    return request(`h${Math.floor(i / perHost)}.test`, path(i));
  });
  const dice = { random: () => 0.5 };
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    for (const one of asked) {
      if (made.value.decide(one, dice).kind !== 'forward') throw new Error(`${name}: ${one.path} meets no route`);
    }
    times.push(((performance.now() - from) / requests) * 1_000);
  }
  const each = median(times);
  const verdict = each < goal ? '' : `  above ${goal} us`;
  process.stdout.write(
    `${routes} routes, ${name}: ${each.toFixed(2)} us a request, ${compiled.toFixed(0)} ms to compile${verdict}\n`,
  );
}

function request(authority: string, path: string): RequestView {
  const peer = { address: '10.0.0.9', port: 40_000 };
  return {
    method: 'GET',
    scheme: 'http',
    authority,
    path,
    headers: Headers.of([['user-agent', 'bench']]),
    protocol: 'http1',
    connection: { remote: peer, source: peer, directRemote: peer, local: peer, tls: false, filterState: new Map() },
    metadata: new Map(),
  };
}
