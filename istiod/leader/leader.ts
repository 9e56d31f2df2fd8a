/**
 * One istiod of several writes: statuses, the roots in namespaces, the next root. All of them serve; who leads is decided by a Lease.
 */
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { leaseKind } from '../../common/kube/schema/cluster.ts';
import type { Kind, KubeSource } from '../../common/kube/types.ts';
import { claim, freshSpec, type Lease, type Observed, renewDeadline } from './claim.ts';

export interface LeadershipOptions {
  readonly source: KubeSource;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Different for each process that runs at one time. */
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface Leadership {
  readonly leads: boolean;
  /** Called each time that this process begins to lead, and at once when it does; the signal aborts when it leads no more. */
  whileLeading(work: (signal: AbortSignal) => void): void;
  /** Gives the Lease back, so that another need not wait; resolves when that is done or cannot be. */
  release(): Promise<void>;
}

/** Ms between two attempts, to renew or to become the leader. */
const retryInterval = millis(2_000);
const kind = leaseKind as Kind<Lease>;

export function joinElection(options: LeadershipOptions): Leadership {
  const { source, namespace, name, identity, clock, log, signal } = options;
  const key = { namespace, name };
  const works: ((signal: AbortSignal) => void)[] = [];
  let term: AbortController | undefined;
  let observed: Observed | undefined;
  let renewedAt = 0;
  let attempt: Promise<void> = Promise.resolve();

  const see = (lease: Lease | undefined): void => {
    if (lease === undefined) observed = undefined;
    else if (observed?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion)
      observed = { lease, since: clock.now() };
  };

  const take = async (): Promise<boolean> => {
    see(await source.get(kind, key));
    const wanted = claim(observed, identity, clock.now(), clock.wall());
    switch (wanted.kind) {
      case 'wait':
        return false;
      case 'create': {
        const spec = freshSpec(identity, clock.wall());
        const metadata = { name, namespace };
        see(await source.create(kind, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }));
        return true;
      }
      case 'update': {
        const { spec, resourceVersion } = wanted;
        see(await source.patch(kind, key, { spec }, { resourceVersion }));
        return true;
      }
    }
  };

  const end = (reason: string): void => {
    if (term === undefined) return;
    log.info('leads no more', { lease: name, reason });
    term.abort();
    term = undefined;
  };

  const once = async (): Promise<void> => {
    try {
      const askedAt = clock.now();
      if (!(await take())) {
        end('another one took the lease');
        return;
      }
      renewedAt = askedAt;
      if (term !== undefined || signal.aborted) return;
      log.info('leads', { lease: name, identity });
      term = new AbortController();
      for (const work of works) work(term.signal);
    } catch (e) {
      const lost = e instanceof MeshError && e.code === 'CONFLICT';
      if (lost) end('another one changed the lease');
      else {
        log.debug('the lease cannot be renewed', { lease: name, error: describeError(e) });
        if (clock.now() - renewedAt >= renewDeadline) end('the lease could not be renewed in time');
      }
    }
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      attempt = once();
      // An answer that does not come must not keep a leader that others think gone.
      await Promise.race([attempt, sleep(clock, millis(renewDeadline), signal)]);
      if (term !== undefined && clock.now() - renewedAt >= renewDeadline) end('the lease could not be renewed in time');
      await attempt;
      await sleep(clock, retryInterval, signal);
    }
    end('it ends');
  };
  void run();

  return {
    get leads() {
      return term !== undefined;
    },
    whileLeading(work) {
      works.push(work);
      if (term !== undefined) work(term.signal);
    },
    async release() {
      await attempt;
      const led = observed?.lease.spec?.holderIdentity === identity;
      end('it ends');
      if (!led || observed === undefined) return;
      const { resourceVersion } = observed.lease.metadata;
      observed = undefined;
      await source
        .patch(kind, key, { spec: { holderIdentity: '', leaseDurationSeconds: 1 } }, { resourceVersion })
        .catch((e: unknown) => log.debug('the lease cannot be given back', { lease: name, error: describeError(e) }));
    },
  };
}
