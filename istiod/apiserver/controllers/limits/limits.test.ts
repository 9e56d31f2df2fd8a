import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Answer, startTestServer, type TestServer } from '../../testing/client.ts';
import { World } from '../testing/world.ts';
import { formatAmount } from './ranges.ts';

const core = '/api/v1/namespaces';

describe('limits and quotas', () => {
  let server: TestServer;
  let world: World;
  before(async () => {
    server = await startTestServer();
    world = new World(server.client);
  });
  after(() => server[Symbol.asyncDispose]());

  const namespace = async (name: string) => {
    await world.create('/api/v1/namespaces', { metadata: { name } });
    // Its own objects come first.
    await world.when(`${core}/${name}/serviceaccounts/default`, () => true);
    return `${core}/${name}`;
  };
  const pod = (name: string, resources: object = {}, more: object = {}) => ({
    metadata: { name },
    spec: { containers: [{ name: 'c', image: 'i', resources }], nodeSelector: { no: 'node' }, ...more },
  });
  const post = (path: string, body: object): Promise<Answer> => server.client.ask(path, { method: 'POST', body });

  test('a LimitRange fills in what a container leaves out, and refuses too much and too little', async () => {
    const at = await namespace('ranged');
    const limits = [
      {
        type: 'Container',
        default: { cpu: '500m' },
        defaultRequest: { cpu: '100m', memory: '64Mi' },
        max: { cpu: '2' },
        min: { memory: '32Mi' },
        maxLimitRequestRatio: { cpu: '10' },
      },
      { type: 'Pod', max: { cpu: '3' } },
      { type: 'PersistentVolumeClaim', max: { storage: '1Gi' } },
    ];
    await world.create(`${at}/limitranges`, { metadata: { name: 'r' }, spec: { limits } });
    const made = await post(`${at}/pods`, pod('plain'));
    assert.equal(made.code, 201, JSON.stringify(made.json));
    assert.deepEqual(made.json.spec.containers[0].resources, {
      limits: { cpu: '500m' },
      requests: { cpu: '100m', memory: '64Mi' },
    });
    const refused = async (resources: object, why: string) => {
      const { code, json } = await post(`${at}/pods`, pod('wrong', resources));
      assert.deepEqual([code, json.message], [403, `pods "wrong" is forbidden: ${why}`]);
    };
    await refused(
      { limits: { cpu: '2500m' }, requests: { cpu: '1' } },
      'maximum cpu usage per Container is 2, but limit is 2500m',
    );
    // What stands in the way of counting is refused for what it is.
    for (const spec of [undefined, {}, { containers: [null] }, { containers: 'x' }])
      assert.equal((await post(`${at}/pods`, { metadata: { name: 'wrong' }, spec })).code, 422);
    await refused({ requests: { memory: '1Mi' } }, 'minimum memory usage per Container is 32Mi, but request is 1Mi');
    await refused(
      { limits: { cpu: '2' }, requests: { cpu: '50m' } },
      'cpu max limit to request ratio per Container is 10, but provided ratio is 40.000000',
    );
    const two = pod('two', { limits: { cpu: '2' }, requests: { cpu: '2' } });
    two.spec.containers.push({ ...two.spec.containers[0]!, name: 'd' });
    assert.match((await post(`${at}/pods`, two)).json.message, /maximum cpu usage per Pod is 3, but limit is 4/);
    const claim = (storage: string) => ({
      metadata: { name: 'c' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
    });
    assert.equal((await post(`${at}/persistentvolumeclaims`, claim('2Gi'))).code, 403);
    assert.equal((await post(`${at}/persistentvolumeclaims`, claim('1Gi'))).code, 201);
  });

  test('a ResourceQuota lets in what fits, also when all come at once, and shows what is used', async () => {
    const at = await namespace('counted');
    const hard = { pods: '5', 'count/secrets': '1', 'services.nodeports': '1', configmaps: '2' };
    await world.create(`${at}/resourcequotas`, { metadata: { name: 'q' }, spec: { hard } });
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => post(`${at}/pods`, { ...pod(''), metadata: { generateName: `p${n}-` } })),
    );
    assert.equal(answers.filter((a) => a.code === 201).length, 5);
    const last = await post(`${at}/pods`, pod('last'));
    assert.equal(
      last.json.message,
      'pods "last" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5',
    );
    await world.when(`${at}/resourcequotas/q`, (q) => q.status.used.pods === '5' && q.status.used.configmaps === '1');
    // One that goes makes room.
    await world.delete(`${at}/pods/${answers.find((a) => a.code === 201)!.json.metadata.name}`);
    await world.when(`${at}/resourcequotas/q`, (q) => q.status.used.pods === '4');
    assert.equal((await post(`${at}/pods`, pod('last'))).code, 201);
    const secrets = [
      await post(`${at}/secrets`, { metadata: { name: 'a' } }),
      await post(`${at}/secrets`, { metadata: { name: 'b' } }),
    ];
    assert.deepEqual(
      secrets.map((a) => a.code),
      [201, 403],
    );
    // The CA is one.
    const maps = [
      await post(`${at}/configmaps`, { metadata: { name: 'a' } }),
      await post(`${at}/configmaps`, { metadata: { name: 'b' } }),
    ];
    assert.deepEqual(
      maps.map((a) => a.code),
      [201, 403],
    );
    const service = (type: string) => ({
      metadata: { name: type.toLowerCase() },
      spec: { type, ports: [{ port: 80 }] },
    });
    const services = ['NodePort', 'LoadBalancer', 'ClusterIP'].map((type) => service(type));
    const codes: number[] = [];
    for (const body of services) codes.push((await post(`${at}/services`, body)).code);
    assert.deepEqual(codes, [201, 403, 201]);
  });

  test('a quota of cpu wants every container to say how much; scopes choose pods', async () => {
    const at = await namespace('computed');
    await world.create(`${at}/resourcequotas`, {
      metadata: { name: 'cpu' },
      spec: { hard: { 'requests.cpu': '1', 'limits.memory': '1Gi' }, scopes: ['NotTerminating'] },
    });
    assert.equal(
      (await post(`${at}/pods`, pod('silent'))).json.message,
      'pods "silent" is forbidden: failed quota: cpu: must specify limits.memory for: c; requests.cpu for: c',
    );
    const of = (cpu: string, memory = '1Mi') => ({ requests: { cpu }, limits: { memory } });
    assert.equal((await post(`${at}/pods`, pod('first', of('600m')))).code, 201);
    assert.match(
      (await post(`${at}/pods`, pod('second', of('500m', '1Gi')))).json.message,
      /requested: limits.memory=1Gi,requests.cpu=500m, used: limits.memory=1Mi,requests.cpu=600m, limited: limits.memory=1Gi,requests.cpu=1$/,
    );
    assert.equal((await post(`${at}/pods`, pod('ends', {}, { activeDeadlineSeconds: 60 }))).code, 201);
    assert.equal((await post(`${at}/pods?dryRun=All`, pod('dry', of('400m')))).code, 201);
    assert.equal((await post(`${at}/pods`, pod('third', of('400m')))).code, 201);
  });

  test('amounts are written short', () => {
    assert.deepEqual([0, 0.25, 3, 1536 * 2 ** 20, 2 ** 30, 1000].map(formatAmount), [
      '0',
      '250m',
      '3',
      '1536Mi',
      '1Gi',
      '1000',
    ]);
  });
});
