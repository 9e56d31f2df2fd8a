/** HTTP on a port of loopback behind filters that a test has made, in front of a cluster of a rig. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { decodeEnvoy, encodeEnvoy } from '../../common/envoy/codec.ts';
import { checkFields } from '../../common/envoy/fields.ts';
import { messageFromJson } from '../../common/envoy/json.ts';
import { exportEnvironment } from '../export/environment.ts';
import type { HttpFilter } from '../filters/filter.ts';
import { HttpManager } from '../http/manager/manager.ts';
import { readHttpManager } from '../http/manager/read.ts';
import { newFacts } from '../listener/facts.ts';
import { DuplexStream } from '../net/duplex-stream.ts';
import { downstreamOf } from '../network/downstream.ts';
import { filterEnvironment } from './filter-environment.ts';
import { httpFilter, managerType, type Rig } from './rig.ts';

export interface FilterServer extends AsyncDisposable {
  readonly port: number;
}

/** All requests go to `cluster`. `manager`: more of the HttpConnectionManager, in JSON. */
export async function serveFilters(
  rig: Rig,
  filters: readonly HttpFilter[],
  cluster: string,
  manager: Readonly<Record<string, unknown>> = {},
): Promise<FilterServer> {
  const json = httpFilter([{ match: { prefix: '/' }, route: { cluster } }], manager);
  const typed = encodeEnvoy(messageFromJson(managerType, json['typed_config']));
  const decoded = decodeEnvoy(managerType, typed);
  if (decoded.kind !== 'ok') throw new Error(decoded.reason);
  const { env } = rig.runtime;
  const read = checkFields(decoded.value, 'Manager', (fields) =>
    readHttpManager(fields, filterEnvironment(), exportEnvironment(env), 'ingress'),
  );
  if (read.kind !== 'ok' || !read.value) throw new Error(read.kind === 'ok' ? 'no manager' : read.reason);
  const named = filters.map((filter, i) => ({ name: `filter-${i}`, filter, disabled: false }));
  const terminal = new HttpManager(env, { ...read.value, filters: named });
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    const loopback = { address: '127.0.0.1', port: 1 };
    const where = { listener: 'test', chain: 'test' };
    const stream = new DuplexStream(socket);
    const downstream = downstreamOf(stream, newFacts(loopback, loopback), undefined, where, env.clock.now());
    terminal.serve(downstream, () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
