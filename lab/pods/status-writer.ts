/** Writes a pod's status: one write at a time, and what changed meanwhile afterwards. */
import { isDeepStrictEqual } from 'node:util';
import { millis } from '../../common/core/brand.ts';
import { sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { type Pod, type PodStatus, podKind } from '../../common/kube/kinds/core.ts';
import type { Runtime } from '../daemon/runtime.ts';

/** Milliseconds. */
const retryDelay = millis(500);

export class StatusWriter {
  readonly #runtime: Runtime;
  readonly #status: (pod: Pod) => PodStatus;
  #pod: Pod;
  #writing: Promise<void> | undefined;
  #again = false;

  /** `status` of the object as it is now. */
  constructor(runtime: Runtime, pod: Pod, status: (pod: Pod) => PodStatus) {
    this.#runtime = runtime;
    this.#pod = pod;
    this.#status = status;
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** The newest object of the same pod. */
  update(pod: Pod): void {
    this.#pod = pod;
  }

  /** Resolves when what is so now is written, or the object is gone. */
  write(): Promise<void> {
    this.#again = true;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    const { clock, log, cluster } = this.#runtime;
    const { namespace = 'default', name, uid } = this.#pod.metadata;
    const key = { namespace, name };
    while (this.#again) {
      this.#again = false;
      const status = this.#status(this.#pod);
      const { resourceVersion } = this.#pod.metadata;
      if (isDeepStrictEqual(status, this.#pod.status)) continue;
      try {
        // Others write conditions into the same list.
        const options = { subresource: 'status', resourceVersion } as const;
        this.#pod = await cluster.source.patch(podKind, key, { status }, options);
      } catch (e) {
        const code = e instanceof MeshError ? e.code : undefined;
        // The object may be gone while its pod ends.
        if (code === 'NOT_FOUND') return;
        this.#again = true;
        if (code !== 'CONFLICT') {
          log.warn('the status of a pod cannot be written', { pod: `${namespace}/${name}`, error: describeError(e) });
          await sleep(clock, retryDelay, new AbortController().signal);
        }
        const now = await cluster.source.get(podKind, key).catch(() => this.#pod);
        if (now === undefined || now.metadata.uid !== uid) return;
        this.#pod = now;
      }
    }
  }
}
