/** A unit as text. Reading is strict: what this version does not write it does not take. */
import { decodeAddress, encodeAddress } from '../../common/api/codec.ts';
import { MeshError } from '../../common/core/errors.ts';
import { formatSocketAddr, type Ip, parseIp, parseSocketAddr } from '../../common/core/net.ts';
import type { Baggage } from '../../common/hbone/headers.ts';
import { formatSpiffe, parseSpiffe } from '../../common/identity/spiffe.ts';
import type { MeshAddress, Service, Workload } from '../../common/mesh/types.ts';
import type { ConnectionRecord } from '../proxy/account.ts';
import { bytes, count, duration, list, maybe, object, oneOf, type Shape, text, truth, words } from './shape.ts';
import type { MovedRelay, MovedTunnel, PodInstance, Unit } from './unit.ts';

/** Of this text. Another one is not read: the connections drain. */
export const unitVersion = 1;

/** Relays of one unit; as many streams as a peer may open (serverMaxStreams), and more. */
const maxRelays = 1_000;
/** Bytes of an authority or a host name that a peer sent. */
const maxAuthority = 64 * 1024;

const address = text('an address with a port', parseSocketAddr, formatSocketAddr);
const ip = text<Ip>('an IP address', parseIp, (value) => value);
const spiffe = text('a SPIFFE id', parseSpiffe, formatSpiffe);
const label = words(1024);

const baggage = object<Baggage>({
  clusterId: maybe(label),
  namespace: maybe(label),
  workloadType: maybe(oneOf('deployment', 'cronjob', 'pod', 'job')),
  workloadName: maybe(label),
  serviceName: maybe(label),
  serviceVersion: maybe(label),
  region: maybe(label),
  zone: maybe(label),
} as { [K in keyof Baggage]-?: Shape<Baggage[K]> });

const pod = object<PodInstance>({ uid: words(256), netns: words(256) });

const tunnel = object<MovedTunnel>({
  role: oneOf('client', 'server'),
  remote: words(256),
  chain: list(bytes, 16),
});

/** Workloads and services of a unit are written once: its connections mostly share them. */
class Table {
  readonly #indices = new Map<MeshAddress, number>();

  indexOf(of: MeshAddress | undefined): number | undefined {
    if (of === undefined) return undefined;
    const known = this.#indices.get(of);
    if (known !== undefined) return known;
    this.#indices.set(of, this.#indices.size);
    return this.#indices.size - 1;
  }

  encoded(): readonly string[] {
    return Array.from(this.#indices.keys(), (of) => Buffer.from(encodeAddress(of)).toString('base64'));
  }
}

/** The text, for decodeUnit. */
export function encodeUnit(unit: Unit): string {
  const table = new Table();
  const relays = unit.relays.map((relay) => ({ ...relay, record: recordFields(relay.record, table) }));
  return JSON.stringify({ version: unitVersion, ...unit, relays, mesh: table.encoded() }, wire);
}

/** Domain forms that have a text of their own. */
function wire(_name: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value !== 'object' || value === null) return value;
  if ('ip' in value && 'port' in value) return formatSocketAddr(value as Parameters<typeof formatSocketAddr>[0]);
  if ('trustDomain' in value) return formatSpiffe(value as Parameters<typeof formatSpiffe>[0]);
  return value;
}

function recordFields(record: ConnectionRecord, table: Table) {
  return {
    ...record,
    source: table.indexOf(record.source),
    destination: table.indexOf(record.destination),
    service: table.indexOf(record.service),
  };
}

/** MeshError PROTOCOL, which names the field. */
export function decodeUnit(encoded: string): Unit {
  let value: unknown;
  try {
    value = JSON.parse(encoded);
  } catch (cause) {
    throw new MeshError('PROTOCOL', 'the unit is not JSON', { cause });
  }
  const { version, mesh: table } = (value ?? {}) as { readonly version?: unknown; readonly mesh?: unknown };
  if (version !== unitVersion) {
    throw new MeshError('PROTOCOL', `unit.version is ${String(version)}, this version reads ${unitVersion}`);
  }
  const mesh = list(meshAddress, 3 * maxRelays)(table, 'unit.mesh');
  const read = unitShape(mesh)(value, 'unit');
  return { pod: read.pod, tunnel: read.tunnel, relays: read.relays };
}

const meshAddress: Shape<MeshAddress> = (value, path) => {
  const decoded = decodeAddress(bytes(value, path));
  if (decoded.kind === 'ok') return decoded.value;
  throw new MeshError('PROTOCOL', `${path} is no workload or service: ${decoded.reason}`);
};

/** An index of the unit's table. */
function from<Kind extends MeshAddress['kind']>(
  mesh: readonly MeshAddress[],
  kind: Kind,
): Shape<Extract<MeshAddress, { kind: Kind }>> {
  return (value, path) => {
    const found = mesh[count(mesh.length - 1)(value, path)];
    if (found?.kind === kind) return found as Extract<MeshAddress, { kind: Kind }>;
    throw new MeshError('PROTOCOL', `${path} is not the index of a ${kind}`);
  };
}

function unitShape(mesh: readonly MeshAddress[]): Shape<Unit> {
  const workload: Shape<Workload> = from(mesh, 'workload');
  const service: Shape<Service> = from(mesh, 'service');
  const record = object<ConnectionRecord>({
    direction: oneOf('inbound', 'outbound'),
    sourceAddress: address,
    destinationAddress: address,
    originalDestination: maybe(address),
    hboneAddress: maybe(words(maxAuthority)) as Shape<string>,
    source: maybe(workload),
    sourceBaggage: maybe(baggage),
    sourceIdentity: maybe(spiffe),
    destination: maybe(workload),
    destinationBaggage: maybe(baggage),
    destinationIdentity: maybe(spiffe),
    service: maybe(service),
    mtls: truth,
    direct: maybe(truth) as Shape<boolean>,
    traceId: maybe(words(64)),
  });
  const relay = object<MovedRelay>({
    tag: words(32),
    record,
    elapsedMs: duration,
    received: count(),
    sent: count(),
    inbound: maybe(object({ source: ip, target: address })),
  });
  return object<Unit & { readonly version: unknown; readonly mesh: unknown }>({
    version: (value) => value,
    mesh: (value) => value,
    pod,
    tunnel: maybe(tunnel),
    relays: list(relay, maxRelays),
  });
}
