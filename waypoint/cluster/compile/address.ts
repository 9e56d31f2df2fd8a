/** Addresses of endpoints. */

import { parseIp } from '../../../common/core/net.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import type { HostAddress } from '../types.ts';

export type ReadAddress = HostAddress | { readonly kind: 'name'; readonly host: string; readonly port: number };

/** An address of config.core.v3; a socket address that is no IP is a name. */
export function readAddress(address: Fields): ReadAddress | undefined {
  const socket = address.message('socket_address');
  if (socket) return readSocket(socket);
  const pipe = address.message('pipe');
  if (pipe) return { kind: 'pipe', path: pipe.text('path') };
  const internal = address.message('envoy_internal_address');
  if (internal) {
    const listener = internal.text('server_listener_name');
    if (listener === '') internal.mistake('server_listener_name', 'is empty');
    return { kind: 'internal', listener, endpointId: internal.text('endpoint_id') };
  }
  address.mistake('address', 'is missing');
  return undefined;
}

function readSocket(socket: Fields): ReadAddress {
  socket.choice('protocol', 'TCP', { TCP: true });
  // Dual-stack sockets are a matter of listeners.
  socket.harmless('ipv4_compat');
  const text = socket.text('address');
  const port = socket.number('port_value', 0, 65_535);
  if (text === '') socket.mistake('address', 'is empty');
  const ip = parseIp(text);
  return ip === undefined ? { kind: 'name', host: text, port } : { kind: 'ip', ip, port };
}

/** As `readAddress`, where only a host's own address will do. */
export function readHostAddress(address: Fields): HostAddress | undefined {
  const read = readAddress(address);
  if (read?.kind !== 'name') return read;
  address.mistake('socket_address', `${read.host} is no IP address, and nothing asks DNS for it here`);
  return undefined;
}

/** As Envoy writes addresses: the key of hosts, and what ring hash and Maglev hash. */
export function addressText(address: HostAddress): string {
  switch (address.kind) {
    case 'ip':
      return address.ip.includes(':') ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
    case 'pipe':
      return address.path;
    case 'internal':
      return `envoy://${address.listener}/${address.endpointId}`;
  }
}
