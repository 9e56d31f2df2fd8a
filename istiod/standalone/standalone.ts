/** `istiod --standalone`: the API server and discovery in one process, which know each other by the kubeconfig alone. */
import { join } from 'node:path';
import { reportMistakes, type Settings } from '../../common/config/reader.ts';
import { type Clock, systemClock } from '../../common/core/clock.ts';
import { createLogger, type LogSink } from '../../common/core/log.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { type ApiServer, startApiServer } from '../apiserver/apiserver.ts';
import { endingSignal } from '../command.ts';
import { installDefinitions } from '../crds/install.ts';
import { type Istiod, startIstiod } from '../istiod.ts';
import { startManifests } from '../manifests/manifests.ts';
import { meshValidation } from '../validation/api-part.ts';
import { parseStandaloneConfig, type StandaloneConfig, standaloneHelp } from './config.ts';

/** Runs until a signal; resolves with the exit code. MeshError CONFIG. */
export async function runStandalone(args: readonly string[], env: Settings): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${standaloneHelp}\n`);
    return 0;
  }
  const parsed = parseStandaloneConfig(args, env);
  if (parsed.kind === 'invalid') {
    reportMistakes('istiod', parsed.errors);
    return 2;
  }
  const standalone = await startStandalone(parsed.config, { clock: systemClock, sink: parsed.sink });
  const signal = await endingSignal();
  createLogger(parsed.sink, 'istiod').info('ending', { signal });
  await standalone.stop();
  return 0;
}

export interface Standalone {
  readonly apiServer: ApiServer;
  readonly discovery: Istiod;
  stop(): Promise<void>;
}

export interface StandaloneDependencies {
  readonly clock: Clock;
  readonly sink: LogSink;
}

/** Resolves when both serve. MeshError CONFIG. */
export async function startStandalone(
  { apiServer, discovery, manifests }: StandaloneConfig,
  { clock, sink }: StandaloneDependencies,
): Promise<Standalone> {
  const stop = new AbortController();
  const api = await startApiServer(apiServer, { clock, sink, parts: [meshValidation] });
  const client = createKubeClient({ access: loadKubeconfig(api.kubeconfig), clock });
  const end = async () => {
    stop.abort();
    client.close();
    await api.stop();
  };
  try {
    await installDefinitions(client, clock, createLogger(sink, 'istiod::crds'));
    const watched =
      manifests === undefined
        ? undefined
        : await startManifests({
            dir: manifests,
            stateFile: join(apiServer.dataDir, 'manifests.json'),
            client,
            clock,
            log: createLogger(sink, 'istiod::manifests'),
            signal: stop.signal,
          });
    const problems = () => watched?.problems() ?? [];
    const istiod = await startIstiod(discovery, {
      clock,
      sink,
      source: client,
      problems,
      apply: (object, how) => client.apply(object, how),
      document: (path) => client.document(path),
    });
    return {
      apiServer: api,
      discovery: istiod,
      async stop() {
        stop.abort();
        await istiod.stop();
        await end();
      },
    };
  } catch (e) {
    await end();
    throw e;
  }
}
