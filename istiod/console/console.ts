/** The console over a running istiod. */
import type { RequestListener } from 'node:http';
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import type { KubeObject, KubeSource } from '../../common/kube/types.ts';
import type { Ca } from '../ca/ca.ts';
import type { AmbientIndex } from '../model/ambient-index.ts';
import type { Client } from '../xds/client.ts';
import { createAccess } from './access.ts';
import { consoleAnswers } from './answers.ts';
import { consolePages } from './pages.ts';
import { proxyAddresses } from './traffic/proxies.ts';

export interface ConsoleParts {
  /** Asked whose a token is, and what it may list. */
  readonly source: Pick<KubeSource, 'create'>;
  readonly index: AmbientIndex;
  /** Of the mesh's own kinds. */
  readonly objects: () => readonly KubeObject[];
  readonly ca: Pick<Ca, 'certificates' | 'signer'>;
  readonly clients: () => Iterable<Client>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Where node proxies and waypoints serve their metrics (ambient-wire 7). */
const metricsPort = 15_020;

export function consoleOf({ source, index, objects, ca, clients, clock, log }: ConsoleParts): RequestListener {
  const access = createAccess(source, clock);
  const pages = consolePages({
    catalog: index.catalog,
    envoy: index.envoy,
    settings: () => index.settings,
    objects,
    certificates: () => ca.certificates(),
    roots: () => ca.signer.roots(),
    proxies: () => proxyAddresses(clients()),
    metricsPort,
    clock,
    log,
  });
  return consoleAnswers({ pages, reader: (token) => access.reader(token), log });
}
