/** Fills the folders of a pod's volumes, and keeps them current: tokens before they expire, ConfigMaps when they change. */
import { chmod, chown, mkdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { millis } from '../../common/core/brand.ts';
import { sleep } from '../../common/core/clock.ts';
import { assertNever, describeError, MeshError } from '../../common/core/errors.ts';
import { type Pod, serviceAccountKind } from '../../common/kube/kinds/core.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import { configMapData, podField, secretData } from '../manifest/env.ts';
import type { PodPlan } from '../manifest/pod-plan.ts';
import type { ResourceField } from '../manifest/resources.ts';
import type { DownwardItem, FileSource, VolumePlan } from '../manifest/volume.ts';
import { unmountBelow } from '../system/mounts.ts';
import { pathOfNode } from '../system/node-paths.ts';
import { run } from '../system/run.ts';
import { type VolumeFile, writeVersion } from './atomic-files.ts';
import { checkHostPath } from './host-path.ts';

export interface TokenContext {
  readonly runtime: Pick<Runtime, 'cluster'>;
  readonly serviceAccount: string;
  /** As it is now. */
  pod(): Pod;
}

export interface VolumeContext extends TokenContext {
  readonly runtime: Runtime;
  readonly node: LabNode;
  /** Of the pod. */
  readonly dir: string;
  readonly plan: Pick<PodPlan, 'fsGroup' | 'init' | 'containers'>;
  readonly volumes: readonly VolumePlan[];
  resource(ref: ResourceField): string;
  /** Ends the renewal. */
  readonly signal: AbortSignal;
}

/** Where a volume, or a part of it, is found when a container mounts it. */
export interface MountSource {
  readonly path: string;
  readonly isFile: boolean;
  readonly readOnly: boolean;
}

export class PodVolumes {
  readonly #c: VolumeContext;
  /** By volume: the last piece of work on it. Two at a time would spoil its links. */
  readonly #work = new Map<string, Promise<void>>();
  /** emptyDirs that are there. */
  readonly #made = new Set<string>();

  constructor(context: VolumeContext) {
    this.#c = context;
  }

  /** MeshError names the volume and what it lacks. May be called again. */
  async fill(): Promise<void> {
    for (const plan of this.#c.volumes) {
      try {
        await this.#inTurn(plan, () => this.#fill(plan));
      } catch (e) {
        if (!(e instanceof MeshError)) throw e;
        throw new MeshError(e.code, `MountVolume.SetUp failed for volume "${plan.name}" : ${e.message}`, { cause: e });
      }
    }
  }

  /** What files of volumes are made from has changed. Failures are logged; the old files stay. */
  async refresh(): Promise<void> {
    for (const plan of this.#c.volumes) if (plan.source.kind === 'files') await this.#refill(plan);
  }

  /** Until the signal aborts. */
  async renewTokens(): Promise<void> {
    await Promise.all(this.#c.volumes.map((plan) => this.#renewToken(plan)));
  }

  /** MeshError CONFIG when `subPath` leads out of the volume. */
  async source(volume: string, subPath: string | undefined): Promise<MountSource> {
    const plan = this.#c.volumes.find((v) => v.name === volume)!;
    const folder = plan.source.kind === 'hostPath' ? this.#onHost(plan.source.path) : this.#folder(volume);
    const readOnly = plan.source.kind === 'files';
    const path = subPath === undefined ? folder : await within(folder, subPath, readOnly);
    return { path, isFile: !(await stat(path)).isDirectory(), readOnly };
  }

  async remove(): Promise<void> {
    await unmountBelow(join(this.#c.dir, 'volumes'));
  }

  #onHost(path: string): string {
    return pathOfNode(this.#c.runtime.paths.node(this.#c.node.name), path);
  }

  #folder(name: string): string {
    return join(this.#c.dir, 'volumes', name);
  }

  #inTurn(plan: VolumePlan, work: () => Promise<void>): Promise<void> {
    const before = this.#work.get(plan.name) ?? Promise.resolve();
    const next = before.catch(() => undefined).then(work);
    this.#work.set(plan.name, next);
    return next;
  }

  async #fill({ name, source }: VolumePlan): Promise<void> {
    const folder = this.#folder(name);
    const { plan, runtime } = this.#c;
    switch (source.kind) {
      case 'hostPath':
        return checkHostPath(this.#onHost(source.path), source.type);
      case 'emptyDir': {
        if (this.#made.has(name)) return;
        await mkdir(folder, { recursive: true });
        if (source.sizeLimit !== undefined)
          await run(['mount', '-t', 'tmpfs', '-o', `size=${source.sizeLimit}`, `aquifer-${runtime.lab}`, folder]);
        // It is everybody's, whatever user a container has.
        if (plan.fsGroup !== undefined) await chown(folder, 0, plan.fsGroup);
        await chmod(folder, plan.fsGroup === undefined ? 0o777 : 0o2777);
        this.#made.add(name);
        return;
      }
      case 'files': {
        await mkdir(folder, { recursive: true });
        const files = new Map<string, VolumeFile>();
        for (const s of source.sources)
          for (const file of await this.#files(s, source.mode)) files.set(file.path, file);
        return writeVersion(folder, [...files.values()], runtime.clock.wall());
      }
      default:
        return assertNever(source);
    }
  }

  async #refill(plan: VolumePlan): Promise<void> {
    try {
      await this.#inTurn(plan, () => this.#fill(plan));
    } catch (e) {
      const { name, namespace } = this.#c.pod().metadata;
      const facts = { pod: `${namespace}/${name}`, volume: plan.name, error: describeError(e) };
      this.#c.runtime.log.warn('a volume cannot be renewed', facts);
    }
  }

  async #renewToken(plan: VolumePlan): Promise<void> {
    const sources = plan.source.kind === 'files' ? plan.source.sources : [];
    const lives = sources.flatMap((s) => (s.kind === 'token' ? [s.expirationSeconds] : []));
    if (lives.length === 0) return;
    const { runtime, signal } = this.#c;
    // kubelet renews when 80 % of the life is over.
    const interval = millis(Math.min(...lives) * 800);
    for (;;) {
      await sleep(runtime.clock, interval, signal);
      if (signal.aborted) return;
      await this.#refill(plan);
    }
  }

  async #files(source: FileSource, mode: number): Promise<readonly VolumeFile[]> {
    switch (source.kind) {
      case 'configMap':
      case 'secret':
        return this.#objectFiles(source, mode);
      case 'token': {
        const content = Buffer.from(await token(this.#c, source.expirationSeconds, source.audience));
        return [this.#tokenFile(source.path, content, mode)];
      }
      case 'downwardAPI':
        return source.items.map((i) => this.#file(i.path, Buffer.from(this.#downward(i)), i.mode ?? mode));
      default:
        return assertNever(source);
    }
  }

  #downward(item: DownwardItem): string {
    return item.kind === 'field' ? (podField(this.#c.pod(), item.fieldPath) ?? '') : this.#c.resource(item.ref);
  }

  #file(path: string, content: Uint8Array, mode: number): VolumeFile {
    const { fsGroup } = this.#c.plan;
    return { path, content, mode: fsGroup === undefined ? mode : mode | 0o440, uid: 0, gid: fsGroup ?? 0 };
  }

  /** Not for everybody where the pod says whose it is. */
  #tokenFile(path: string, content: Uint8Array, mode: number): VolumeFile {
    const { fsGroup, init, containers } = this.#c.plan;
    if (fsGroup !== undefined) return this.#file(path, content, 0o600);
    const users = new Set([...init, ...containers].map((c) => c.security.privileges.user?.uid));
    const [only] = users;
    if (users.size === 1 && only !== undefined) return { path, content, mode: 0o600, uid: only, gid: 0 };
    return this.#file(path, content, mode);
  }

  #objectFiles(source: Extract<FileSource, { kind: 'configMap' | 'secret' }>, mode: number): readonly VolumeFile[] {
    const key = { namespace: this.#c.pod().metadata.namespace ?? 'default', name: source.name };
    const { cluster } = this.#c.runtime;
    const data =
      source.kind === 'configMap' ? configMapData(cluster.configMaps.get(key)) : secretData(cluster.secrets.get(key));
    if (data === undefined) {
      if (source.optional) return [];
      throw new MeshError('NOT_FOUND', `${source.kind.toLowerCase()} "${source.name}" not found`);
    }
    if (source.items === undefined) return [...data].map(([path, content]) => this.#file(path, content, mode));
    return source.items.flatMap((item): VolumeFile[] => {
      const content = data.get(item.key);
      if (content !== undefined) return [this.#file(item.path, content, item.mode ?? mode)];
      if (source.optional) return [];
      throw new MeshError('NOT_FOUND', `${source.kind.toLowerCase()} references non-existent config key: ${item.key}`);
    });
  }
}

/** As everything there is seen from inside the volume; a folder that is not there is made. */
async function within(folder: string, subPath: string, readOnly: boolean): Promise<string> {
  const path = join(folder, subPath);
  if (!readOnly && (await stat(path).catch(() => undefined)) === undefined) {
    await mkdir(path, { recursive: true, mode: 0o777 });
    await chmod(path, (await stat(folder)).mode & 0o7777);
  }
  const [real, root] = await Promise.all([realpath(path).catch(() => undefined), realpath(folder)]);
  if (real === undefined) throw new MeshError('CONFIG', `failed to prepare subPath: "${subPath}" does not exist`);
  if (real === root || real.startsWith(`${root}/`)) return real;
  throw new MeshError('CONFIG', `failed to prepare subPath: "${subPath}" leads out of the volume`);
}

/** For the pod alone: the API server takes it while the pod is there. MeshError NOT_FOUND without the ServiceAccount. */
export async function token(v: TokenContext, seconds: number, audience: string | undefined): Promise<string> {
  const { namespace = 'default', name, uid } = v.pod().metadata;
  const key = { namespace, name: v.serviceAccount };
  const spec = {
    ...(audience === undefined ? {} : { audiences: [audience] }),
    expirationSeconds: seconds,
    boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
  };
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {}, spec };
  const answer = await v.runtime.cluster.source.createSubresource(serviceAccountKind, key, 'token', request);
  return (answer['status'] as { readonly token: string }).token;
}
