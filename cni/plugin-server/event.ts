/** What the CNI plugin tells about a pod, as Istio's plugin writes it (ambient-wire 6.3) with Go's encoding/json. */
import { MeshError } from '../../common/core/errors.ts';
import { type Ip, parseIp } from '../../common/core/net.ts';

export interface PluginEvent {
  /** Path of the pod's network namespace; empty in a deletion whose runtime has none any more. */
  readonly netns: string;
  readonly name: string;
  readonly namespace: string;
  /** Ours says it where the runtime does; Istio's plugin does not. */
  readonly uid: string | undefined;
  readonly ips: readonly Ip[];
}

const longestName = 253;
const longestPath = 4_096;
const mostIps = 16;

/** MeshError CONFIG that names the field. Fields that are not known are passed over, as Istio's agent does. */
export function parseEvent(text: string): PluginEvent {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new MeshError('CONFIG', 'the event is not JSON');
  }
  if (!isRecord(value)) throw new MeshError('CONFIG', 'the event is not an object');
  const { PodUID: uid, IPs: ips = [] } = value;
  if (ips !== null && (!Array.isArray(ips) || ips.length > mostIps)) throw wrong('IPs', `at most ${mostIps} addresses`);
  return {
    netns: path(value['Netns'] ?? ''),
    name: word(value, 'PodName'),
    namespace: word(value, 'PodNamespace'),
    uid: uid === undefined || uid === '' ? undefined : word(value, 'PodUID'),
    ips: (ips ?? []).map(address),
  };
}

function path(value: unknown): string {
  const good = typeof value === 'string' && value.length <= longestPath && !value.includes('\0');
  if (good && (value === '' || value.startsWith('/'))) return value;
  throw wrong('Netns', 'an absolute path');
}

/** Names of Kubernetes objects: RFC 1123 subdomains. UIDs are of the same letters. */
function word(event: Readonly<Record<string, unknown>>, field: string): string {
  const value = event[field];
  if (typeof value === 'string' && value.length <= longestName && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/i.test(value)) {
    return value;
  }
  throw wrong(field, 'the name of an object');
}

/** `{"Address": {"IP": "10.0.0.1", "Mask": "..."}}`: a Go net.IPNet. */
function address(value: unknown): Ip {
  const net = isRecord(value) ? value['Address'] : undefined;
  const text = isRecord(net) ? net['IP'] : undefined;
  const ip = typeof text === 'string' ? parseIp(text) : undefined;
  if (ip === undefined) throw wrong('IPs', 'addresses as {"Address": {"IP": "10.0.0.1"}}');
  return ip;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(field: string, expected: string): MeshError {
  return new MeshError('CONFIG', `field ${field} of the event: expected ${expected}`);
}
