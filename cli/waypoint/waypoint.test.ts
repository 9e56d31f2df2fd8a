import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { namespaceKind } from '../../common/kube/kinds/core.ts';
import { type Gateway, gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { FakeKube } from '../../common/testing/fake-kube.ts';
import { UsageError } from '../arguments.ts';
import { parseWaypointArguments, type WaypointAction } from './arguments.ts';
import { act, waypointGateway } from './command.ts';

class World {
  readonly kube = new FakeKube();
  readonly lines: string[] = [];

  async run(kind: WaypointAction['kind'], ...args: string[]): Promise<{ code: number; lines: readonly string[] }> {
    this.lines.length = 0;
    const { action, connection } = parseWaypointArguments(kind, args);
    const { namespace = 'default' } = connection;
    const { kube } = this;
    const client = {
      apply: (object: NewObject) => kube.create(gatewayKind, object),
      list: kube.list.bind(kube),
      get: kube.get.bind(kube),
      patch: kube.patch.bind(kube),
      delete: kube.delete.bind(kube),
    };
    const place = { client, namespace };
    const code = await act(action as Exclude<WaypointAction, { kind: 'generate' }>, place, (l) => this.lines.push(l));
    return { code, lines: [...this.lines] };
  }

  async namespace(name: string, labels: Record<string, string>): Promise<void> {
    await this.kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  }
}

describe('aquifer waypoint', () => {
  test('what it makes is what istioctl makes', () => {
    const args = ['-n', 'shop', '--for', 'all', '--revision', 'canary'];
    const { action, connection } = parseWaypointArguments('generate', args);
    assert.ok(action.kind === 'generate');
    assert.deepEqual(waypointGateway(action.wanted, connection.namespace), {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: {
        name: 'waypoint',
        namespace: 'shop',
        labels: { 'istio.io/waypoint-for': 'all', 'istio.io/rev': 'canary' },
      },
      spec: { gatewayClassName: 'istio-waypoint', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
    });
  });

  test('apply puts the namespace behind it, and not away from another one', async () => {
    const world = new World();
    await world.namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
    assert.deepEqual(await world.run('apply', '-n', 'shop', '--enroll-namespace'), {
      code: 0,
      lines: ['waypoint shop/waypoint applied', 'namespace shop labelled istio.io/use-waypoint=waypoint'],
    });
    const refused = await world.run('apply', '-n', 'shop', '--name', 'w2', '--enroll-namespace');
    assert.equal(refused.code, 1);
    assert.match(refused.lines.join(), /behind waypoint waypoint; --overwrite/);
    assert.equal((await world.run('apply', '-n', 'shop', '--name', 'w2', '--enroll-namespace', '--overwrite')).code, 0);
    const labels = (await world.kube.get(namespaceKind, { name: 'shop' }))?.metadata.labels;
    assert.equal(labels?.['istio.io/use-waypoint'], 'w2');
  });

  test('a namespace that is not in the mesh is warned of', async () => {
    const world = new World();
    await world.namespace('shop', {});
    assert.match(
      (await world.run('apply', '-n', 'shop', '--enroll-namespace')).lines[0]!,
      /^warning: .*not in the mesh/,
    );
  });

  test('list, status and delete', async () => {
    const world = new World();
    assert.deepEqual(await world.run('list', '-A'), { code: 0, lines: ['No waypoints found.'] });
    await world.run('apply', '-n', 'shop');
    await world.run('apply', '-n', 'bank', '--for', 'workload');
    const conditions = [{ type: 'Programmed', status: 'True', reason: 'Programmed', message: 'serves' }];
    const status = { status: { conditions } };
    await world.kube.patch<Gateway>(gatewayKind, { namespace: 'shop', name: 'waypoint' }, status, {
      subresource: 'status',
    });
    assert.deepEqual(
      (await world.run('list', '-A')).lines
        .join('\n')
        .split('\n')
        .map((l) => l.split(/ {2,}/)),
      [
        ['NAMESPACE', 'NAME', 'REVISION', 'TRAFFIC TYPE', 'PROGRAMMED'],
        ['bank', 'waypoint', 'default', 'workload', 'Unknown'],
        ['shop', 'waypoint', 'default', 'service', 'True'],
      ],
    );
    const waited = await world.run('status', '-n', 'bank', '--waypoint-timeout', '1ms');
    assert.equal(waited.code, 1, 'one that never serves');
    assert.equal((await world.run('status', '-n', 'shop')).code, 0);
    assert.match(
      (await world.run('status', '-A', '--wait=false')).lines.join('\n'),
      /shop +waypoint +True +Programmed +Programmed +serves/,
    );
    const { code, lines } = await world.run('delete', '-n', 'bank', 'waypoint', 'other');
    assert.deepEqual([code, lines], [1, ['waypoint bank/waypoint deleted', 'there is no waypoint bank/other']]);
    assert.deepEqual((await world.run('delete', '-n', 'shop', '--all')).lines, ['waypoint shop/waypoint deleted']);
  });

  test('what is wrong is said', () => {
    for (const [args, expected] of [
      [['apply', 'x'], /"x" is not understood/],
      [['apply', '--for', 'pods'], /--for: "pods"/],
      [['apply', '--name', 'none'], /cannot be called none/],
      [['apply', '--wait', '--waypoint-timeout', 'soon'], /--waypoint-timeout=soon/],
      [['delete'], /name the waypoints/],
      [['delete', 'a', '--all'], /name the waypoints/],
    ] as const) {
      assert.throws(
        () => parseWaypointArguments(args[0], args.slice(1)),
        (e) => e instanceof UsageError && expected.test(e.message),
        args.join(' '),
      );
    }
    fc.assert(
      fc.property(
        fc.constantFrom('apply', 'generate', 'list', 'status', 'delete'),
        fc.array(fc.string()),
        (kind, args) => {
          try {
            parseWaypointArguments(kind, args);
          } catch (e) {
            assert.ok(e instanceof UsageError);
          }
        },
      ),
    );
  });
});
