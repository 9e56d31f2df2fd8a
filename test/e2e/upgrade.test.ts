/**
 * Each part of the mesh is replaced while calls are made, by helm, in any order, also while another part is: no call is lost. In short
 * all at once and back; with TEST_LONG=1 every order, waiting for each part and not.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skipWithoutHelm } from '../harness/helm.ts';
import { skipWithoutKubectl } from '../harness/kubectl.ts';
import { longOr, skipUnless } from '../harness/require.ts';
import { Calls, HelmedLab, releases, space, waiting } from './helmed.ts';

/** With the label app.kubernetes.io/name of their pods. */
const apps = { istiod: 'istiod', cni: 'istio-cni', ztunnel: 'ztunnel' } as const;
type Part = keyof typeof apps;
const parts = Object.keys(apps) as Part[];

interface Round {
  readonly change: 'upgrade' | 'rollback';
  readonly order: readonly Part[];
  /** `each`: helm waits before the next; `unwaited`: it does not; `together`: at once. */
  readonly pace: 'each' | 'unwaited' | 'together';
}

const together: Round = { change: 'upgrade', order: parts, pace: 'together' };
const back = (order: readonly Part[]): Round => ({ change: 'rollback', order, pace: 'unwaited' });

/** Each upgrade is followed by its rollback. */
const rounds: readonly Round[] = longOr<readonly Round[]>(
  [together, back(['cni', 'ztunnel', 'istiod'])],
  [
    ...orders().flatMap((order): Round[] => [{ change: 'upgrade', order, pace: 'each' }, back(order)]),
    together,
    { ...together, change: 'rollback' },
  ],
);

function orders(): readonly (readonly Part[])[] {
  return parts.flatMap((first) => {
    const [second, third] = parts.filter((p) => p !== first) as [Part, Part];
    return [
      [first, second, third],
      [first, third, second],
    ];
  });
}

const skip = skipUnless('ebpf', 'plugin', 'program:ip', 'program:nft') || skipWithoutHelm() || skipWithoutKubectl();

describe('the parts of the mesh are replaced under calls', { skip }, () => {
  let lab: HelmedLab;
  let calls: Calls;
  let version = 0;
  before(async () => {
    lab = await HelmedLab.up('upgrade');
    await lab.installAll();
    calls = await Calls.start(lab.world);
  });
  after(() => lab?.world.down());

  for (const round of rounds) {
    const { change, order, pace } = round;
    const how = { each: 'one after the other', unwaited: 'one after the other without waiting', together: 'at once' }[
      pace
    ];
    test(`${change} of ${order.join(', ')}, ${how}`, async () => {
      if (change === 'upgrade') version++;
      const old = await Promise.all(order.map((part) => lab.uids(apps[part])));
      await run(round);
      await Promise.all(order.map((part, i) => lab.replaced(apps[part], old[i]!)));
      assert.deepEqual(calls.lost, []);
    });
  }

  test('every call was answered', async (t) => t.diagnostic(await calls.end()));

  async function run({ change, order, pace }: Round): Promise<void> {
    const wait = pace === 'unwaited' ? [] : waiting;
    const replace = (part: Part) =>
      change === 'rollback'
        ? lab.helm.ok(['rollback', releases[part], ...space, ...wait])
        : lab.upgrade(part, '--set-string', `podAnnotations.version=v${version}`, ...wait);
    if (pace === 'together') await Promise.all(order.map(replace));
    else for (const part of order) await replace(part);
  }
});
