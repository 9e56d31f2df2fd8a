/**
 * The API server. Everything it touches is handed in or named by its configuration. The threads that read the objects and make
 * certificates begin before the bulk of the code is loaded, and work meanwhile.
 */
import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import type { Clock } from '../../common/core/clock.ts';
import { createLogger, type LogSink } from '../../common/core/log.ts';
import type { ApiServerConfig } from './config.ts';
import { AddressRange } from './controllers/runtime/address-range.ts';
import type { PartMaker } from './part.ts';
import { loadCredentials } from './pki/credentials.ts';
import { openSqliteJournal } from './storage/sqlite-journal.ts';
import { openStore } from './storage/store.ts';

export interface ApiServerDependencies {
  readonly clock: Clock;
  readonly sink: LogSink;
  /** Beside the server's own. */
  readonly parts?: readonly PartMaker[];
}

export interface ApiServer {
  /** As bound. */
  readonly addresses: readonly AddressInfo[];
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

/** Resolves when it is ready: the objects that every cluster has are there, and what was served before is served. MeshError CONFIG. */
export async function startApiServer(config: ApiServerConfig, deps: ApiServerDependencies): Promise<ApiServer> {
  const { clock, sink, parts = [] } = deps;
  const dataDir = resolve(config.dataDir);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const log = createLogger(sink, 'apiserver::pki');
  const opening = openStore(openSqliteJournal(dataDir));
  try {
    const [credentials, store, { assemble }] = await Promise.all([
      loadCredentials({ dataDir, addresses: addressesOf(config), clock, log }),
      opening,
      import('./assembly.ts'),
    ]);
    return await assemble(config, { dataDir, credentials, store, clock, sink, parts });
  } catch (e) {
    // Whichever failed first is what is told.
    await opening.then(
      (store) => store.close(),
      () => undefined,
    );
    throw e;
  }
}

/** Those of this machine, and of the Service by which pods reach the server. */
function addressesOf({ networks }: ApiServerConfig): readonly string[] {
  return [
    ...Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((a) => a.address)),
    ...networks.services.map((range) => new AddressRange(range).addressOf(1)),
  ];
}
