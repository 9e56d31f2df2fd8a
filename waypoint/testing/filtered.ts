/** An HttpConnectionManager with filters that a test wrote, on a socket of its own. */
import { createServer, type Server } from 'node:net';
import { checkFields } from '../../common/envoy/fields.ts';
import { exportEnvironment } from '../export/environment.ts';
import type { HttpFilter } from '../filters/filter.ts';
import { HttpManager } from '../http/manager/manager.ts';
import { readHttpManager } from '../http/manager/read.ts';
import { newFacts } from '../listener/facts.ts';
import { DuplexStream } from '../net/duplex-stream.ts';
import { downstreamOf } from '../network/downstream.ts';
import type { Environment } from '../runtime/environment.ts';
import { filterEnvironment } from './filter-environment.ts';

export interface Filtered extends AsyncDisposable {
  readonly port: number;
}

/** Everything goes to cluster `web`. */
export async function filtered(env: Environment, filters: readonly HttpFilter[]): Promise<Filtered> {
  const manager = {
    stat_prefix: 'test',
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'web' } }] }],
    },
    http_filters: [{ name: 'router', typed_config: { '@type': '/envoy.extensions.filters.http.router.v3.Router' } }],
  };
  const read = checkFields(manager, 'Manager', (f) =>
    readHttpManager(f, filterEnvironment(), exportEnvironment(env), 'ingress'),
  );
  if (read.kind === 'rejected' || !read.value) throw new Error(read.kind === 'rejected' ? read.reason : 'incomplete');
  const named = filters.map((filter, i) => ({ name: `filter-${i}`, filter, disabled: false }));
  const terminal = new HttpManager(env, { ...read.value, filters: named });
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    const here = { address: '127.0.0.1', port: 1 };
    const where = { listener: 'test', chain: '' };
    const downstream = downstreamOf(new DuplexStream(socket), newFacts(here, here), undefined, where, env.clock.now());
    const served = terminal.serve(downstream, () => open.delete(served));
    open.add(served);
  });
  const open = new Set<ReturnType<HttpManager['serve']>>();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      for (const served of open) served.cut(new Error('the test is over'));
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
