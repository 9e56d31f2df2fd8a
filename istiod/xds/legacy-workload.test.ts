/** `istio.workload.Workload`, which clients of older forms ask for: the workloads alone, each by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import {
  addressTypeUrl,
  decodeAddress,
  deltaAdsService,
  type PbDeltaResponse,
  type PbDiscoveryResponse,
  stateAdsService,
  structFromJson,
  workloadTypeUrl,
} from '../../common/api/index.ts';
import { service, workload } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { resourceOfAddress } from '../model/resource.ts';
import { startXdsBed, type XdsBed } from '../testing/xds-bed.ts';

const metadata = structFromJson({ NAMESPACE: 'istio-system', NODE_NAME: 'node-1' });
const node = { id: 'ztunnel~10.0.0.1~zt.istio-system~istio-system.svc.cluster.local', metadata };
const pod = (name: string, more = {}) =>
  resourceOfAddress(workload({ uid: `Kubernetes//Pod/default/${name}`, name, ...more }), []);

/** The name of the workload in such a resource: what stands in an Address beneath field 1. */
function nameIn(value: Uint8Array): string {
  const length = value.length < 128 ? [value.length] : [(value.length & 127) | 128, value.length >> 7];
  const decoded = decodeAddress(Buffer.concat([Buffer.from([0x0a, ...length]), value]));
  assert.ok(decoded.kind === 'ok' && decoded.value.kind === 'workload', JSON.stringify(decoded));
  return decoded.value.canonicalName;
}

async function withBed(body: (bed: XdsBed, client: Client) => Promise<void>): Promise<void> {
  const bed = await startXdsBed();
  const client = new Client(`localhost:${bed.port.port}`, credentials.createInsecure());
  try {
    for (const name of ['a', 'b']) bed.set(pod(name, { canonicalName: name }));
    bed.set(resourceOfAddress(service({ name: 'web' }), []));
    await body(bed, client);
  } finally {
    client.close();
    bed.stop();
  }
}

test('by delta: all of them, then what changes', () =>
  withBed(async (bed, client) => {
    const { DeltaAggregatedResources: m } = deltaAdsService;
    const stream = client.makeBidiStreamRequest(m.path, m.requestSerialize, m.responseDeserialize);
    const told: PbDeltaResponse[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (r: PbDeltaResponse) => {
      told.push(r);
      stream.write({ typeUrl: r.typeUrl, responseNonce: r.nonce });
    });
    stream.write({ node, typeUrl: workloadTypeUrl });
    await until('the first', () => told.length === 1);
    const names = (r: PbDeltaResponse) => r.resources.map((x) => nameIn(x.resource!.value)).sort();
    assert.deepEqual([told[0]?.typeUrl, names(told[0]!)], [workloadTypeUrl, ['a', 'b']]);
    assert.ok(told[0]!.resources.every((r) => r.resource?.type_url === workloadTypeUrl));
    bed.set(resourceOfAddress(service({ name: 'other' }), []));
    bed.set(pod('b', { canonicalName: 'changed' }));
    await until('the change', () => told.some((r) => names(r).includes('changed')));
    assert.deepEqual(told.slice(1).flatMap(names), ['changed']);
    stream.cancel();
  }));

test('by the state of the world: all of them each time', () =>
  withBed(async (bed, client) => {
    const { StreamAggregatedResources: m } = stateAdsService;
    const stream = client.makeBidiStreamRequest(m.path, m.requestSerialize, m.responseDeserialize);
    const told: PbDiscoveryResponse[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (r: PbDiscoveryResponse) => {
      told.push(r);
      stream.write({ typeUrl: r.typeUrl, responseNonce: r.nonce, versionInfo: r.versionInfo });
    });
    stream.write({ node, typeUrl: workloadTypeUrl });
    await until('the first', () => told.length === 1);
    bed.set(pod('c', { canonicalName: 'c' }));
    const names = (r: PbDiscoveryResponse | undefined) => (r?.resources ?? []).map((x) => nameIn(x.value)).sort();
    await until('the second', () => names(told.at(-1)).length === 3);
    assert.deepEqual(
      [names(told[0]), names(told.at(-1))],
      [
        ['a', 'b'],
        ['a', 'b', 'c'],
      ],
    );
    assert.notEqual(told[0]?.typeUrl, addressTypeUrl);
    stream.cancel();
  }));
