/** Keeps a valid certificate for each identity of the node (ambient-wire 4). */
import { abortable } from '../core/abortable.ts';
import { type Millis, millis } from '../core/brand.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { describeError, MeshError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Identity } from '../mesh/types.ts';
import { createFetchQueue, type QueuedTask } from './fetch-queue.ts';
import { formatSpiffe } from './spiffe.ts';
import type { CertificateAuthority, CertificateEntry, CertificateStore, WorkloadCertificate } from './types.ts';

const concurrency = 8;
const firstBackoff = 1_000;
const maxBackoff = 150_000;
/** A certificate that is asked for and not valid any more is requested this long after the last attempt, whatever the back-off. */
const wantedBackoff = 5_000;
/** Timers do not notice that the machine slept or that its clock was set. */
const longestLook = 60_000;
/** Share of a delay by which it may be longer or shorter, so that the nodes of a mesh do not ask together. */
const backoffJitter = 0.2;
const renewalJitter = 0.05;

export interface CertificateStoreOptions {
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  readonly log: Logger;
  /** 0 to 1, for jitter. Default Math.random. */
  readonly random?: () => number;
  /** Told of each certificate, also of renewed ones. */
  readonly onIssued?: (certificate: WorkloadCertificate) => void;
}

interface Waiter {
  resolve(certificate: WorkloadCertificate): void;
  reject(error: unknown): void;
}

interface Entry {
  readonly identity: Identity;
  readonly waiters: Set<Waiter>;
  /** Aborted when the entry is forgotten, which also makes a late answer void. */
  readonly forgotten: AbortController;
  certificate: WorkloadCertificate | undefined;
  /** Why the last request failed. */
  failure: string | undefined;
  failures: number;
  /** Monotonic ms of the last request. */
  askedAt: number;
  queued: QueuedTask | undefined;
  timer: Timer | undefined;
}

export function createCertificateStore(options: CertificateStoreOptions): CertificateStore {
  const { authority, clock, log } = options;
  const random = options.random ?? Math.random;
  const queue = createFetchQueue(concurrency);
  const store = new Map<string, Entry>();
  let closed = false;

  function entryOf(identity: Identity, urgent: boolean): Entry {
    const key = formatSpiffe(identity);
    let entry = store.get(key);
    if (!entry) {
      entry = {
        identity,
        waiters: new Set(),
        forgotten: new AbortController(),
        certificate: undefined,
        failure: undefined,
        failures: 0,
        askedAt: 0,
        queued: undefined,
        timer: undefined,
      };
      store.set(key, entry);
      request(entry, urgent);
    }
    return entry;
  }

  function request(entry: Entry, urgent: boolean): void {
    entry.timer = undefined;
    entry.askedAt = clock.now();
    entry.queued = queue.add(() => fetch(entry), urgent);
  }

  /** Never rejects: what goes wrong becomes the entry's failure. */
  async function fetch(entry: Entry): Promise<void> {
    const { signal } = entry.forgotten;
    entry.queued = undefined;
    try {
      const certificate = await abortable(authority.fetch(entry.identity, signal), signal);
      if (!isValid(certificate)) {
        throw new MeshError(
          'IDENTITY_UNAVAILABLE',
          `the certificate that was issued for ${formatSpiffe(entry.identity)} is valid from ${date(certificate.notBefore)} ` +
            `to ${date(certificate.notAfter)}, and here it is ${date(clock.wall())}: compare the clocks`,
        );
      }
      accept(entry, certificate);
    } catch (error) {
      if (!signal.aborted) fail(entry, error);
    }
  }

  function accept(entry: Entry, certificate: WorkloadCertificate): void {
    entry.certificate = certificate;
    entry.failure = undefined;
    entry.failures = 0;
    const life = certificate.notAfter - certificate.notBefore;
    awaitRenewal(entry, certificate.notBefore + life * (0.5 + jitter(renewalJitter)), firstBackoff);
    for (const waiter of entry.waiters) waiter.resolve(certificate);
    entry.waiters.clear();
    options.onIssued?.(certificate);
  }

  function fail(entry: Entry, error: unknown): void {
    const uri = formatSpiffe(entry.identity);
    entry.failure = describeError(error);
    const backoff = Math.min(maxBackoff, firstBackoff * 2 ** entry.failures) * (1 + jitter(backoffJitter));
    entry.failures++;
    // At its expiry at the latest, but never more often than the first back-off.
    const left = current(entry) ? Math.max(firstBackoff, entry.certificate!.notAfter - clock.wall()) : backoff;
    const delay = Math.min(backoff, left);
    log.warn('no certificate issued', { identity: uri, error: entry.failure, retry_ms: Math.round(delay) });
    schedule(entry, delay);
    for (const waiter of entry.waiters) waiter.reject(unavailable(entry));
    entry.waiters.clear();
  }

  function schedule(entry: Entry, delay: number): void {
    entry.timer = clock.after(millis(delay), () => request(entry, false));
  }

  /** `renewAt`: ms since the epoch. */
  function awaitRenewal(entry: Entry, renewAt: number, shortest: number): void {
    const left = Math.max(shortest, renewAt - clock.wall());
    entry.timer = clock.after(millis(Math.min(left, longestLook)), () => {
      if (clock.wall() >= renewAt || !current(entry)) request(entry, false);
      else awaitRenewal(entry, renewAt, 0);
    });
  }

  /** Somebody wants a certificate that expired, or is not valid yet since the clock was set back. */
  function hasten(entry: Entry): void {
    if (!entry.certificate || !entry.timer) return;
    const patience = entry.failure === undefined ? firstBackoff : wantedBackoff;
    if (clock.now() - entry.askedAt < patience) return;
    entry.timer.cancel();
    request(entry, true);
  }

  function isValid(certificate: WorkloadCertificate): boolean {
    const now: Millis = clock.wall();
    return certificate.notBefore <= now && now < certificate.notAfter;
  }

  function current(entry: Entry): WorkloadCertificate | undefined {
    return entry.certificate && isValid(entry.certificate) ? entry.certificate : undefined;
  }

  function unavailable(entry: Entry): MeshError {
    const uri = formatSpiffe(entry.identity);
    const expired = entry.certificate ? `${whyInvalid(entry.certificate)}; ` : '';
    return new MeshError(
      'IDENTITY_UNAVAILABLE',
      `no certificate for ${uri}: ${expired}${entry.failure ?? 'it is being renewed'}`,
    );
  }

  function whyInvalid({ notBefore, notAfter }: WorkloadCertificate): string {
    const now = clock.wall();
    if (now < notBefore) return `the certificate is valid from ${date(notBefore)}, and here it is ${date(now)}`;
    return `the certificate expired at ${date(notAfter)}`;
  }

  /** -share to +share. */
  function jitter(share: number): number {
    return (2 * random() - 1) * share;
  }

  function forget(identity: Identity): void {
    const key = formatSpiffe(identity);
    const entry = store.get(key);
    if (!entry) return;
    store.delete(key);
    const gone = new MeshError('IDENTITY_UNAVAILABLE', `${key} has no workload on this node any more`);
    entry.forgotten.abort(gone);
    entry.queued?.cancel();
    entry.timer?.cancel();
    for (const waiter of entry.waiters) waiter.reject(gone);
    entry.waiters.clear();
  }

  return {
    async get(identity, signal) {
      signal.throwIfAborted();
      if (closed) throw new MeshError('IDENTITY_UNAVAILABLE', 'the proxy is stopping');
      const entry = entryOf(identity, true);
      const certificate = current(entry);
      if (certificate) return certificate;
      if (entry.certificate || entry.failure !== undefined) {
        hasten(entry);
        throw unavailable(entry);
      }
      entry.queued?.promote();
      return new Promise<WorkloadCertificate>((resolve, reject) => {
        const waiter: Waiter = {
          resolve(issued) {
            signal.removeEventListener('abort', onAbort);
            resolve(issued);
          },
          reject(error) {
            signal.removeEventListener('abort', onAbort);
            reject(error);
          },
        };
        const onAbort = () => {
          entry.waiters.delete(waiter);
          reject(signal.reason);
        };
        signal.addEventListener('abort', onAbort, { once: true });
        entry.waiters.add(waiter);
      });
    },
    prefetch(identity) {
      if (!closed) entryOf(identity, false);
    },
    forget,
    entries: () =>
      [...store.values()].map((entry): CertificateEntry => {
        const certificate = current(entry);
        if (certificate) return { identity: entry.identity, state: { kind: 'available', certificate } };
        if (!entry.certificate && entry.failure === undefined) {
          return { identity: entry.identity, state: { kind: 'initializing' } };
        }
        return { identity: entry.identity, state: { kind: 'unavailable', reason: unavailable(entry).message } };
      }),
    close() {
      closed = true;
      for (const entry of [...store.values()]) forget(entry.identity);
    },
  };
}

function date(ms: number): string {
  return new Date(ms).toISOString();
}
