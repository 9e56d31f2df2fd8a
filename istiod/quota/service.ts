/** `istiod quota`: the service that proxies ask, and its metrics. */
import type { AddressInfo } from 'node:net';
import { ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import type { Clock } from '../../common/core/clock.ts';
import { createLogger, type LogSink } from '../../common/core/log.ts';
import { version } from '../../common/core/version.ts';
import { counterOf, gaugeOf, registerBuild } from '../../common/telemetry/program.ts';
import { createMonitoring } from '../monitoring.ts';
import { openGrpcPort } from '../ports/grpc-port.ts';
import { listenAt } from '../ports/listen.ts';
import type { QuotaConfig } from './config.ts';
import { openJournal } from './journal.ts';
import { Ledger } from './ledger.ts';
import { readQuestion, writeAnswer } from './question.ts';

export interface QuotaService {
  /** As bound. */
  readonly port: number;
  readonly monitoring: number;
  /** Whoever was counted is told first. */
  stop(): void;
}

const path = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
const bytes = (message: Buffer) => message;

/** Resolves when it listens. MeshError CONFIG. */
export async function startQuotaService(
  config: QuotaConfig,
  { clock, sink }: { readonly clock: Clock; readonly sink: LogSink },
): Promise<QuotaService> {
  const log = createLogger(sink, 'quota');
  const journal = openJournal(config.dataDir);
  const ledger = new Ledger({ journal, most: config.keys, now: () => clock.wall() / 1_000 });
  const registry = new Registry();
  const answers = metricsOf(registry, ledger);
  const answer = (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void => {
    const question = readQuestion(call.request);
    if (question.kind === 'invalid') {
      answers.inc({ answer: 'invalid' });
      done({ code: status.INVALID_ARGUMENT, details: question.reason });
      return;
    }
    ledger.ask(question.demands, (told) => {
      if (told.kind === 'failed') {
        answers.inc({ answer: 'failed' });
        done({ code: status.UNAVAILABLE, details: told.reason });
        return;
      }
      answers.inc({ answer: told.statuses.every((s) => s.fits) ? 'ok' : 'over_limit' });
      done(null, writeAnswer(told.statuses));
    });
  };
  const grpc = await openGrpcPort({
    at: config.listen,
    credentials: ServerCredentials.createInsecure(),
    flag: '--listen',
    clock,
    log,
    maxAge: undefined,
    services: (server) =>
      server.addService(
        {
          shouldRateLimit: {
            path,
            requestStream: false,
            responseStream: false,
            requestDeserialize: bytes,
            requestSerialize: bytes,
            responseDeserialize: bytes,
            responseSerialize: bytes,
          },
        },
        { shouldRateLimit: answer },
      ),
  });
  const pages = createMonitoring({
    registry,
    notReady: () => ledger.broken,
    debug: {},
    profile: undefined,
    admits: async () => false,
    version,
  });
  await listenAt(pages, config.monitoring, '--monitoringAddr');
  log.info('counts requests', { port: grpc.port, keys: ledger.counts.size, folder: config.dataDir });
  return {
    port: grpc.port,
    monitoring: (pages.address() as AddressInfo).port,
    stop() {
      ledger.flush();
      grpc.close();
      pages.close();
      journal.close();
    },
  };
}

function metricsOf(registry: Registry, ledger: Ledger): Counter<'answer'> {
  collectDefaultMetrics({ register: registry });
  registerBuild(registry, 'quota', version);
  gaugeOf(registry, 'aquifer_quota_keys', 'Keys that are counted', () => ledger.counts.size);
  counterOf(
    registry,
    'aquifer_quota_overflows_total',
    'Times that a key was counted with others, since there were too many',
    () => ledger.counts.overflowed,
  );
  return new Counter({
    name: 'aquifer_quota_answers_total',
    help: 'Questions of proxies by what they were told',
    labelNames: ['answer'],
    registers: [registry],
  });
}
