import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { Namespace, Pod } from '../../common/kube/kinds/core.ts';
import { dataplaneModeLabel } from '../enrolment.ts';
import { parseEvent } from './event.ts';
import { outsideNamespaces, writeOutside } from './outside.ts';
import { servePlugin } from './server.ts';

const address = (ip: string) => ({ Interface: 0, Address: { IP: ip, Mask: '////AA==' }, Gateway: '' });
const valid = {
  Netns: '/run/netns/x',
  PodName: 'web',
  PodNamespace: 'shop',
  IPs: [address('10.0.0.1'), address('fd00::1')],
};

describe('an event of the CNI plugin', () => {
  test("is read as Istio's plugin and as ours write it", () => {
    const event = {
      netns: '/run/netns/x',
      name: 'web',
      namespace: 'shop',
      uid: undefined,
      ips: ['10.0.0.1', 'fd00::1'],
    };
    assert.deepEqual(parseEvent(JSON.stringify(valid)), event);
    assert.deepEqual(parseEvent(JSON.stringify({ ...valid, PodUID: 'a-1', New: {} })), { ...event, uid: 'a-1' });
    assert.deepEqual(parseEvent(JSON.stringify({ ...valid, Netns: '', IPs: null })), { ...event, netns: '', ips: [] });
  });

  for (const [field, value] of [
    ['Netns', 'relative'],
    ['Netns', '/a\0b'],
    ['PodName', ''],
    ['PodName', '../up'],
    ['PodNamespace', undefined],
    ['PodNamespace', 'a'.repeat(254)],
    ['PodUID', 7],
    ['IPs', {}],
    ['IPs', ['10.0.0.1']],
    ['IPs', [address('10.0.0.256')]],
    ['IPs', Array(17).fill(address('10.0.0.1'))],
  ] as const) {
    test(`is refused with ${field}=${JSON.stringify(value)?.slice(0, 40)}`, () => {
      assert.throws(() => parseEvent(JSON.stringify({ ...valid, [field]: value })), new RegExp(`field ${field} of`));
    });
  }

  test('whatever it is, only MeshErrors come of it', () => {
    const field = fc.constantFrom('Netns', 'PodName', 'PodNamespace', 'PodUID', 'IPs');
    const changed = fc.tuple(field, fc.jsonValue()).map(([name, value]) => JSON.stringify({ ...valid, [name]: value }));
    fc.assert(
      fc.property(fc.oneof(changed, fc.json(), fc.string()), (said) => {
        try {
          parseEvent(said);
        } catch (e) {
          assert.ok(e instanceof MeshError, String(e));
        }
      }),
    );
  });
});

describe('the socket of the CNI plugin', () => {
  async function serve(
    t: TestContext,
  ): Promise<(method: string, path: string, body: string) => Promise<[number, string]>> {
    const dir = mkdtempSync(join(tmpdir(), 'aq-events-'));
    const refuse = async () => {
      throw new MeshError('CANCELLED', 'not now');
    };
    const handlers = { add: async () => undefined, del: async () => assert.fail('a fault of ours'), check: refuse };
    const server = await servePlugin(join(dir, 'run'), handlers, silentLogger);
    assert.equal(statSync(server.path).mode & 0o777, 0o600);
    t.after(() => {
      server.close();
      rmSync(dir, { recursive: true });
    });
    return (method, path, body) =>
      new Promise((resolve, reject) => {
        const call = request({ socketPath: server.path, method, path }, (response) => {
          text(response).then((said) => resolve([response.statusCode!, said]), reject);
        });
        call.on('error', reject);
        call.end(body);
      });
  }

  test('answers each call with what came of it', async (t) => {
    const call = await serve(t);
    const body = JSON.stringify(valid);
    assert.deepEqual(await call('POST', '/cmdadd', body), [200, 'ok\n']);
    assert.deepEqual(await call('POST', '/cmdcheck', body), [503, 'not now\n']);
    assert.equal((await call('POST', '/cmddel', body))[0], 500);
    assert.equal((await call('GET', '/cmdadd', ''))[0], 405);
    assert.equal((await call('POST', '/other', body))[0], 404);
    assert.equal((await call('POST', '/cmdadd', '{'))[0], 400);
    assert.equal((await call('POST', '/cmdadd', ' '.repeat(70_000)))[0], 400);
    assert.deepEqual(await call('POST', '/cmdadd', body), [200, 'ok\n']);
  });
});

test('outside are the namespaces without the label in which no pod has it', (t) => {
  const namespace = (name: string, mode?: string) =>
    ({ metadata: { name, labels: mode === undefined ? {} : { [dataplaneModeLabel]: mode } } }) as unknown as Namespace;
  const pod = (ns: string, mode: string) =>
    ({ metadata: { namespace: ns, labels: { [dataplaneModeLabel]: mode } } }) as unknown as Pod;
  const namespaces = [namespace('in', 'ambient'), namespace('out'), namespace('some'), namespace('never', 'none')];
  const names = outsideNamespaces(namespaces, [pod('some', 'ambient'), pod('out', 'none')]);
  assert.deepEqual(names, ['never', 'out']);
  const dir = mkdtempSync(join(tmpdir(), 'aq-outside-'));
  t.after(() => rmSync(dir, { recursive: true }));
  writeOutside(dir, names);
  const { ino } = statSync(join(dir, 'outside-namespaces'));
  writeOutside(dir, names);
  assert.equal(statSync(join(dir, 'outside-namespaces')).ino, ino, 'nothing new is not written');
  assert.equal(readFileSync(join(dir, 'outside-namespaces'), 'utf8'), 'never\nout\n');
});
