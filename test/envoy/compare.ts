/** Asks Envoy and ours the same, and tells where they differ. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
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

/** Runs all cases in one Envoy, and says how many requests were compared and differ. Throws with the first difference of a few cases. */
export async function compare(t: TestContext, cases: readonly Case[]): Promise<void> {
  await using world = await World.start(cases.map(({ routes, envoy }) => ({ routes, ...envoy })));
  let [asked, differ] = [0, 0];
  const firsts: string[] = [];
  for (const [i, { name, routes, ours, requests }] of cases.entries()) {
    const own = new Ours({ routes, ...ours, port: world.ports.envoy[i]! });
    const results = await Promise.all(requests.map((request) => world.ask('envoy', i, request)));
    asked += results.length;
    const live = world.ports.ours.length === 0 ? [] : await Promise.all(requests.map((r) => world.ask('ours', i, r)));
    const found = requests.flatMap((request, k) => {
      const decided = differing(request, results[k]!, own.ask(request));
      const whole = live[k] && differing(request, results[k]!, live[k]);
      const difference = decided ?? (whole && `the whole waypoint: ${whole}`);
      return difference === undefined
        ? []
        : [`${name}\n${JSON.stringify(request)}\n${own.why(request)}\n${difference}`];
    });
    differ += found.length;
    firsts.push(...found.slice(0, 1));
  }
  t.diagnostic(`compared ${asked}, ${differ} differ`);
  const shown = firsts.slice(0, 5).join('\n\n');
  assert.equal(
    differ,
    0,
    `${differ} of ${asked} requests differ, in ${firsts.length} of ${cases.length} cases:\n\n${shown}`,
  );
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
