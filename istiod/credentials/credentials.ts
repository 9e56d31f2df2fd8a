/**
 * Secrets that DestinationRules name for TLS, and who may have them: each is looked up when it is first asked for, and followed from then
 * on. Of a Secret only certificates and keys are kept.
 */
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer, type Informer } from '../../common/kube/informer.ts';
import { type Secret, secretKind } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import type { Credentials, Looked } from '../envoy/credentials.ts';
import { isAllowed as mayDo } from '../reviews.ts';

export interface KubeCredentialsOptions {
  readonly source: KubeSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** What is found of it is something else now: `secret NAMESPACE/NAME`, `reader NAMESPACE/ACCOUNT`. */
  readonly onChange: (lookup: string) => void;
}

/** Ms after which a Secret that cannot be read counts as none. */
const patience = millis(2_000);
/** Ms until an account is asked about again; Istio has 60,000 and 300,000, but who waits for a Role that was missing looks on. */
const again = { denied: millis(10_000), allowed: millis(300_000) };
const kept = ['cert', 'key', 'cacert', 'crl', 'tls.crt', 'tls.key', 'ca.crt', 'ca.crl'];

interface Followed {
  readonly informer: Informer<Secret>;
  isKnown: boolean;
}

export class KubeCredentials implements Pick<Credentials, 'secret' | 'mayList'> {
  readonly #o: KubeCredentialsOptions;
  readonly #secrets = new Map<string, Followed>();
  /** undefined: nobody has answered yet. */
  readonly #readers = new Map<string, boolean | undefined>();

  constructor(options: KubeCredentialsOptions) {
    this.#o = options;
  }

  secret(namespace: string, name: string): Looked<ReadonlyMap<string, Buffer> | undefined> {
    const { informer, isKnown } = this.#follow(namespace, name);
    if (!isKnown) return { kind: 'pending' };
    const found = informer.get({ namespace, name });
    return { kind: 'found', value: found && dataOf(found) };
  }

  mayList(namespace: string, account: string): Looked<boolean> {
    const key = `${namespace}/${account}`;
    if (!this.#readers.has(key)) {
      this.#readers.set(key, undefined);
      void this.#review(namespace, account);
    }
    const value = this.#readers.get(key);
    return value === undefined ? { kind: 'pending' } : { kind: 'found', value };
  }

  #follow(namespace: string, name: string): Followed {
    const key = `${namespace}/${name}`;
    const known = this.#secrets.get(key);
    if (known !== undefined) return known;
    const { source, clock, log, signal, onChange } = this.#o;
    const changed = () => followed.isKnown && onChange(`secret ${key}`);
    const informer = createInformer<Secret>({
      source,
      kind: secretKind,
      within: { namespace, name },
      log,
      signal,
      clock,
      trim,
      handlers: { added: changed, modified: changed, deleted: changed },
    });
    const followed: Followed = { informer, isKnown: false };
    this.#secrets.set(key, followed);
    const settle = () => {
      if (followed.isKnown || signal.aborted) return;
      followed.isKnown = true;
      onChange(`secret ${key}`);
    };
    void informer.synced.then(settle);
    clock.after(patience, settle);
    return followed;
  }

  /** As long as istiod runs: roles come and go, and nobody tells. */
  async #review(namespace: string, account: string): Promise<void> {
    const { source, clock, log, signal, onChange } = this.#o;
    const key = `${namespace}/${account}`;
    let isAllowed = false;
    try {
      const user = `system:serviceaccount:${namespace}:${account}`;
      isAllowed = await mayDo(source, { user }, { namespace, verb: 'list', resource: 'secrets' });
    } catch (e) {
      if (signal.aborted) return;
      log.warn('cannot ask whether an account may read Secrets; it counts as not', {
        account: key,
        error: describeError(e),
      });
      // What was answered before holds while nobody answers.
      isAllowed = this.#readers.get(key) ?? false;
    }
    if (signal.aborted) return;
    if (this.#readers.get(key) !== isAllowed) {
      this.#readers.set(key, isAllowed);
      onChange(`reader ${key}`);
    }
    clock.after(
      isAllowed ? again.allowed : again.denied,
      () => !signal.aborted && void this.#review(namespace, account),
    );
  }
}

function trim(secret: Secret): Secret {
  const data = Object.entries(secret.data ?? {}).filter(([name]) => kept.includes(name));
  const { apiVersion, kind, metadata } = secret;
  const { name, namespace, uid, resourceVersion } = metadata;
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace !== undefined && { namespace }), uid, resourceVersion },
    data: Object.fromEntries(data),
  };
}

function dataOf({ data = {} }: Secret): ReadonlyMap<string, Buffer> {
  return new Map(Object.entries(data).map(([name, text]) => [name, Buffer.from(text, 'base64')]));
}
