/** Asks Envoy and ours the same, and tells where they differ. */
import assert from 'node:assert/strict';
import { differences } from './differences.ts';
import { type OurSite, Ours } from './ours.ts';
import { type Observed, type Request, type Site, World } from './world.ts';

export interface Case {
  readonly name: string;
  /** A RouteConfiguration, as the codec has it. */
  readonly routes: object;
  readonly envoy?: Omit<Site, 'routes'>;
  readonly ours?: Omit<OurSite, 'port' | 'routes'>;
  readonly requests: readonly Request[];
}

/** Runs all cases in one Envoy; returns how many requests were compared. Throws with the first difference of each case. */
export async function compare(cases: readonly Case[]): Promise<number> {
  await using world = await World.start(cases.map(({ routes, envoy }) => ({ routes, ...envoy })));
  let asked = 0;
  const found: string[] = [];
  for (const [i, { name, routes, ours, requests }] of cases.entries()) {
    const own = new Ours({ routes, ...ours, port: world.ports[i]! });
    const results = await Promise.all(requests.map((request) => world.ask(i, request)));
    asked += results.length;
    for (const [k, theirs] of results.entries()) {
      const request = requests[k]!;
      const difference = differing(request, theirs, own.ask(request));
      if (difference === undefined) continue;
      found.push(`${name}\n${JSON.stringify(request)}\n${own.why(request)}\n${difference}`);
      break;
    }
  }
  assert.equal(
    found.length,
    0,
    `${found.length} of ${cases.length} cases differ:\n\n${found.slice(0, 5).join('\n\n')}`,
  );
  return asked;
}

/** undefined: the same, but for what the table allows. */
function differing(request: Request, theirs: Observed, ours: Observed): string | undefined {
  let pair: readonly [Observed, Observed] = [theirs, ours];
  for (const difference of differences) pair = difference.level(request, ...pair) ?? pair;
  try {
    assert.deepEqual(pair[1], pair[0]);
    return undefined;
  } catch (e) {
    return (e as Error).message;
  }
}
