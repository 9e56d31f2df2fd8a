/** `bin/waypoint --bootstrap FILE`: what one file says, until a signal. */
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { systemClock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { createLogger, type LogSink } from '../../common/core/log.ts';
import { createHttpServer, listen } from '../../common/http/small-server.ts';
import { controlPlaneConnection } from '../../common/xds/connect.ts';
import { adminRoutes } from '../admin/routes.ts';
import { systemResolver } from '../cluster/dns/resolver.ts';
import { logWriter } from '../telemetry/log-files.ts';
import { placeOf } from '../tls/file-secrets.ts';
import { startAds } from './ads.ts';
import { applyBootstrap, type BootstrapAddress, readBootstrap } from './bootstrap.ts';
import { ownAddress } from './own-address.ts';
import { Runtime, type RuntimeOptions } from './runtime.ts';

/** Ms that open requests get at the end. */
const drain = 5_000;

export interface Running {
  readonly runtime: Runtime;
  /** Resolves when somebody asks the admin port for the end. */
  readonly quit: Promise<void>;
  stop(): Promise<void>;
}

export function createRuntime(
  sink: LogSink,
  drainMs: number,
  more: Pick<RuntimeOptions, 'local' | 'series' | 'node' | 'variable'> = {},
): Runtime {
  const log = createLogger(sink, 'waypoint');
  return new Runtime({
    clock: systemClock,
    dice: Math,
    log,
    resolver: systemResolver(),
    write: logWriter(log),
    ownAddress: ownAddress(),
    drain: drainMs,
    ...more,
  });
}

/** MeshError CONFIG for a file that cannot be read, or is not honoured in full. */
export async function runBootstrap(
  file: string,
  sink: LogSink,
  variable: RuntimeOptions['variable'],
): Promise<Running> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (e) {
    throw new MeshError('CONFIG', `bootstrap: ${describeError(e)}`, { cause: e });
  }
  const bootstrap = readBootstrap(text);
  const runtime = createRuntime(sink, drain, { local: bootstrap.local, node: bootstrap.node, variable });
  applyBootstrap(runtime, bootstrap);
  const end = new AbortController();
  const ownSecrets = new Set(bootstrap.secrets.map((s) => (s as { readonly name?: string }).name));
  const dynamic =
    bootstrap.dynamic &&
    startAds({
      connect: () => controlPlaneConnection(bootstrap.dynamic!.server),
      node: bootstrap.dynamic.node,
      runtime,
      ownSecret: (name) => placeOf(name) !== undefined || ownSecrets.has(name),
      clock: systemClock,
      log: createLogger(sink, 'xds'),
      signal: end.signal,
    });
  const quit = Promise.withResolvers<void>();
  const pending = () => [...(dynamic?.pending() ?? []), ...runtime.pending()];
  const routes = adminRoutes({ runtime, pending, quit: quit.resolve, levels: sink.levels });
  const admin = bootstrap.admin && createHttpServer(routes, '', createLogger(sink, 'admin'));
  if (admin) await listenAt(admin, bootstrap.admin!);
  return {
    runtime,
    quit: quit.promise,
    async stop() {
      end.abort();
      await runtime.close(drain);
      admin?.close();
    },
  };
}

function listenAt(server: Server, address: BootstrapAddress): Promise<void> {
  if (address.kind === 'tcp') return listen(server, address.address, address.port);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.path, () => resolve());
  });
}
