/** Pods of which the lab cannot do everything that their manifest asks for: their containers wait, and status and events say why. */
import { millis } from '../../common/core/brand.ts';
import type { Timer } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { EventRecorder } from '../../common/kube/event-recorder.ts';
import { keyOf } from '../../common/kube/informer.ts';
import { type Pod, type PodSpec, type PodStatus, podKind } from '../../common/kube/kinds/core.ts';
import type { Runtime } from '../daemon/runtime.ts';
import { type FieldProblem, formatFieldProblems } from '../manifest/problems.ts';

/** Ms until a pull is said to wait for another try, as at kubelet's next look. Images come with the lab's version: none is tried. */
const nextLook = 2_000;

interface Refusal {
  readonly reason: string;
  later: Timer | undefined;
}

export class Refusals {
  readonly #runtime: Runtime;
  /** By uid: each is written once. */
  readonly #all = new Map<string, Refusal>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  async tell(pod: Pod, events: EventRecorder, problems: readonly FieldProblem[]): Promise<void> {
    const { uid } = pod.metadata;
    const reason = formatFieldProblems(`Pod ${keyOf(pod.metadata)}`, problems);
    if (this.#all.get(uid)?.reason === reason) return;
    this.forget(uid);
    const refusal: Refusal = { reason, later: undefined };
    this.#all.set(uid, refusal);
    this.#runtime.log.warn('a pod is not run', { pod: keyOf(pod.metadata), reason });
    const warn = (message: string) => events.record(pod, { type: 'Warning', reason: 'Failed', message });
    const images = containersOf(pod.spec).flatMap(({ at, image }) => {
      const problem = problems.find((p) => p.field === `${at}.image`);
      return problem === undefined ? [] : [{ image, problem }];
    });
    for (const { image, problem } of images) {
      warn(`Failed to pull image "${image}": ${problem.message}`);
      warn('Error: ErrImagePull');
    }
    for (const { field, message } of problems.filter((p) => images.every((i) => i.problem !== p)))
      warn(`Error: ${field}: ${message}`);
    await this.#write(pod, problems, 'failed');
    // It may be gone, or changed, meanwhile.
    if (images.length === 0 || this.#all.get(uid) !== refusal) return;
    refusal.later = this.#runtime.clock.after(millis(nextLook), () => {
      for (const { image } of images) {
        events.record(pod, { type: 'Normal', reason: 'BackOff', message: `Back-off pulling image "${image}"` });
        warn('Error: ImagePullBackOff');
      }
      this.#write(pod, problems, 'waits').catch((e: unknown) =>
        this.#runtime.log.warn('a status cannot be written', { pod: keyOf(pod.metadata), error: describeError(e) }),
      );
    });
  }

  forget(uid: string): void {
    this.#all.get(uid)?.later?.cancel();
    this.#all.delete(uid);
  }

  /** All but these. */
  keep(uids: { has(uid: string): boolean }): void {
    for (const uid of this.#all.keys()) if (!uids.has(uid)) this.forget(uid);
  }

  async #write(pod: Pod, problems: readonly FieldProblem[], pull: Pull): Promise<void> {
    const key = { namespace: pod.metadata.namespace ?? 'default', name: pod.metadata.name };
    const status = { phase: 'Pending', ...unhonoured(pod.spec, problems, pull) };
    try {
      await this.#runtime.cluster.source.patch(podKind, key, { status }, { subresource: 'status' });
    } catch (e) {
      if (!(e instanceof MeshError) || e.code !== 'NOT_FOUND') throw e;
    }
  }
}

/** Of an image that is not there: the first pull has failed, or the next one waits. */
type Pull = 'failed' | 'waits';

function containersOf(spec: PodSpec): readonly { readonly at: string; readonly image: string }[] {
  return (['initContainers', 'containers'] as const).flatMap((list) =>
    (spec[list] ?? []).map((c, i) => ({ at: `spec.${list}[${i}]`, image: c.image ?? '' })),
  );
}

/** As kubelet says it of images that no registry has, and of containers that cannot be created. */
function unhonoured(spec: PodSpec, problems: readonly FieldProblem[], pull: Pull): Partial<PodStatus> {
  const text = (found: readonly FieldProblem[]) => found.map((p) => `${p.field}: ${p.message}`).join('; ');
  const ofPod = problems.filter((p) => !/^spec\.(?:containers|initContainers)\[/.test(p.field));
  const waiting = (at: string, image: string) => {
    const own = problems.filter((p) => p.field.startsWith(`${at}.`));
    const missing = own.find((p) => p.field === `${at}.image`);
    if (missing !== undefined && pull === 'failed') return { reason: 'ErrImagePull', message: missing.message };
    if (missing !== undefined) {
      const message = `Back-off pulling image "${image}": ErrImagePull: ${missing.message}`;
      return { reason: 'ImagePullBackOff', message };
    }
    const found = [...ofPod, ...own];
    return found.length === 0
      ? { reason: 'ContainerCreating' }
      : { reason: 'CreateContainerConfigError', message: text(found) };
  };
  const status = (list: 'containers' | 'initContainers') =>
    (spec[list] ?? []).map((c, i) => ({
      name: c.name,
      image: c.image ?? '',
      imageID: '',
      ready: false,
      restartCount: 0,
      state: { waiting: waiting(`spec.${list}[${i}]`, c.image ?? '') },
    }));
  return {
    conditions: [{ type: 'PodScheduled', status: 'True' }],
    containerStatuses: status('containers'),
    ...(spec.initContainers === undefined ? {} : { initContainerStatuses: status('initContainers') }),
  };
}
