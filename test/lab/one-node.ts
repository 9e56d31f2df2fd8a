/** A lab of one node, without the mesh, whose pods a test looks into. */
import assert from 'node:assert/strict';
import { type Pod, podKind } from '../../common/kube/kinds/core.ts';
import { eventKind } from '../../common/kube/schema/cluster.ts';
import { until } from '../../common/testing/until.ts';
import { Lab, type LabApi } from '../../lab/index.ts';
import { namespace } from './manifests.ts';

export interface ContainerStateFields {
  readonly waiting?: { readonly reason: string; readonly message?: string };
  readonly running?: object;
  readonly terminated?: { readonly exitCode: number; readonly reason: string; readonly message?: string };
}

export interface SeenEvent {
  readonly reason: string;
  readonly message: string;
  readonly type: string;
  readonly count: number;
}

export class OneNode {
  readonly lab: LabApi;

  private constructor(lab: LabApi) {
    this.lab = lab;
  }

  /** `manifests` beside the namespace. */
  static async up(name: string, manifests: string, apiServerCa?: string): Promise<OneNode> {
    const first = `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${namespace} }\n`;
    const ca = apiServerCa === undefined ? {} : { apiServerCa };
    return new OneNode(await Lab.up({ name, nodes: 1, mesh: false, manifests: [first + manifests], ...ca }));
  }

  async pod(name: string): Promise<Pod> {
    const found = await this.lab.kube.get(podKind, { namespace, name });
    assert.ok(found, `pod ${name}`);
    return found;
  }

  async phase(name: string): Promise<string | undefined> {
    return (await this.pod(name)).status?.phase;
  }

  async condition(name: string, type: string) {
    return (await this.pod(name)).status?.conditions?.find((c) => c.type === type);
  }

  /** Of a container, the first by default. */
  async state(name: string, container?: string): Promise<ContainerStateFields> {
    const all = (await this.pod(name)).status?.containerStatuses ?? [];
    const status = container === undefined ? all[0] : all.find((c) => c.name === container);
    return (status?.state ?? {}) as ContainerStateFields;
  }

  async ready(...names: string[]): Promise<void> {
    for (const name of names)
      await until(`pod ${name}`, async () => (await this.condition(name, 'Ready'))?.status === 'True', 20_000);
  }

  /** What a script in the pod says; it must succeed. */
  async sh(name: string, script: string, container?: string): Promise<string> {
    const options = container === undefined ? {} : { container };
    const { code, stdout, stderr } = await this.lab.exec({ namespace, name }, ['sh', '-c', script], options);
    assert.equal(code, 0, `${script}: ${stderr}`);
    return stdout.trim();
  }

  async logs(name: string, container: string): Promise<string> {
    return this.lab.logs({ namespace, name }, { container });
  }

  async events(name: string): Promise<readonly SeenEvent[]> {
    const { items } = await this.lab.kube.list(eventKind, new AbortController().signal);
    return items.filter((e) => (e['involvedObject'] as { name?: string }).name === name) as unknown as SeenEvent[];
  }

  /** Waits for an event. */
  async event(name: string, reason: string, message: RegExp): Promise<void> {
    await until(`event ${reason} of ${name}`, async () =>
      (await this.events(name)).some((e) => e.reason === reason && message.test(e.message)),
    );
  }

  async down(): Promise<void> {
    await this.lab.down();
  }
}
