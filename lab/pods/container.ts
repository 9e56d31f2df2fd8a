/** Runs one container of a pod: makes its file system, starts its process, waits for the end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { MeshError } from '../../common/core/errors.ts';
import { closeFd, makePipe } from '../../native/index.ts';
import { clusterDns, clusterDomain } from '../addresses.ts';
import { checkout } from '../config.ts';
import { isInstalled, isUnpacked, layerFolder } from '../image/packages.ts';
import { readPipe } from '../kubelet/process.ts';
import { expand, resolveEnv } from '../manifest/env.ts';
import type { ContainerPlan } from '../manifest/pod-plan.ts';
import type { VolumePlan } from '../manifest/volume.ts';
import { podLogFolder } from '../names.ts';
import { killCgroup, makeCgroup } from '../system/cgroup.ts';
import { exitCode } from '../system/exit-code.ts';
import { systemPath } from '../system/run.ts';
import { containerArgv, type Namespaces, type Privileges } from './launch.ts';
import { ContainerLog } from './log.ts';
import { type BindMount, prepareRootfs } from './rootfs.ts';
import { accountPath, accountVolume, type PodVolumes, volumeFolder } from './volumes.ts';

export interface ContainerContext extends PodVolumes {
  readonly namespaces: Namespaces;
  readonly podCgroup: string;
  readonly hostname: string;
  readonly mountToken: boolean;
  readonly volumes: readonly VolumePlan[];
}

export interface RunningContainer {
  readonly pid: number;
  readonly cgroup: string;
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly privileges: Privileges;
  readonly log: ContainerLog;
  /** Exit code, or 128 + signal number, when the process has ended and all that it left has been killed. */
  readonly exited: Promise<number>;
  signal(signal: NodeJS.Signals): void;
}

/** `attempt` counts from 0. MeshError CONFIG or NOT_FOUND when the container cannot be made from what is there now. */
export async function startContainer(
  c: ContainerContext,
  plan: ContainerPlan,
  attempt: number,
): Promise<RunningContainer> {
  const env = containerEnv(c, plan);
  const dir = join(c.dir, 'containers', plan.name, String(attempt));
  // What an earlier lab process of the same attempt left would be taken for the image.
  await rm(dir, { recursive: true, force: true });
  const rootfs = prepareRootfs({
    dir,
    layers: imageLayers(c, plan),
    files: { ...plan.image.files, ...networkFiles(c) },
    mounts: [...volumeMounts(c, plan), ...accountMount(c, plan), ...checkoutMount(plan)],
    workingDir: plan.workingDir,
  });
  const cgroup = makeCgroup(join(c.podCgroup, plan.name));
  const argv = containerArgv({
    namespaces: c.namespaces,
    cgroup,
    ...rootfs,
    workingDir: plan.workingDir,
    privileges: plan.privileges,
    argv: plan.argv.map((a) => expand(a, env)),
  });
  const { metadata } = c.pod();
  const name = { namespace: metadata.namespace ?? 'default', name: metadata.name };
  const logFile = join(podLogFolder(c.runtime.lab, name, plan.name), `${metadata.uid}.${attempt}.log`);
  const log = new ContainerLog(logFile, c.runtime.clock);
  const owner = plan.privileges.user?.uid ?? 0;
  const [out, err] = [makePipe(owner), makePipe(owner)];
  const child = spawn(argv[0]!, argv.slice(1), {
    stdio: ['ignore', out.write, err.write, 'pipe'],
    env,
    detached: true,
  });
  for (const { write } of [out, err]) closeFd(write);
  log.follow(readPipe(out.read), readPipe(err.read));
  const exited = end(child, cgroup, dir);
  if (child.pid === undefined) throw new MeshError('KERNEL', `${argv[0]} cannot be started`);
  const said = child.stdio[3] as Readable;
  // A container that cannot be entered ends, with the reason in its log.
  await Promise.race([once(said, 'data'), exited]);
  said.destroy();
  return {
    pid: child.pid,
    cgroup,
    env,
    workingDir: plan.workingDir,
    privileges: plan.privileges,
    log,
    exited,
    signal: (signal) => void child.kill(signal),
  };
}

/** A container's processes end with its first one, as they do with a pid namespace. */
async function end(child: ChildProcess, cgroup: string, dir: string): Promise<number> {
  const code = await new Promise<number>((resolve) => {
    child.on('error', () => resolve(127));
    child.on('exit', (status, signal) => resolve(exitCode(status, signal)));
  });
  await killCgroup(cgroup);
  await rm(dir, { recursive: true, force: true });
  return code;
}

function containerEnv(c: ContainerContext, plan: ContainerPlan): Record<string, string> {
  const namespace = c.pod().metadata.namespace ?? 'default';
  const { cluster } = c.runtime;
  const resolved = resolveEnv(plan.env, {
    pod: c.pod(),
    configMap: (name) => cluster.configMaps.get({ namespace, name }),
    secret: (name) => cluster.secrets.get({ namespace, name }),
  });
  if (!resolved.ok) throw new MeshError('NOT_FOUND', `${resolved.missing} in namespace "${namespace}"`);
  return { PATH: systemPath, HOME: '/root', HOSTNAME: c.hostname, ...plan.image.env, ...resolved.env };
}

function imageLayers(c: ContainerContext, plan: ContainerPlan): string[] {
  const { cache } = c.runtime;
  return plan.image.packages.flatMap((p) => {
    if (isUnpacked(cache, p)) return [layerFolder(cache, p)];
    if (isInstalled(p)) return [];
    throw new MeshError(
      'CONFIG',
      `package ${p.name} of image ${plan.imageReference} is not in ${cache}; aquifer lab apply puts it there`,
    );
  });
}

function networkFiles(c: ContainerContext): Record<string, string> {
  const { namespace } = c.pod().metadata;
  const addresses = c.pod().status?.podIPs?.map((x) => `${x.ip}\t${c.hostname}`) ?? [];
  return {
    '/etc/hostname': `${c.hostname}\n`,
    '/etc/hosts': `${['127.0.0.1\tlocalhost', '::1\tlocalhost', ...addresses].join('\n')}\n`,
    '/etc/resolv.conf': resolvConf(namespace ?? 'default'),
  };
}

/** Of every pod in the namespace. */
export function resolvConf(namespace: string): string {
  const search = [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
  return `search ${search.join(' ')}\nnameserver ${clusterDns.v4}\noptions ndots:5\n`;
}

function volumeMounts(c: ContainerContext, plan: ContainerPlan): BindMount[] {
  const readOnlySources = new Set(['configMap', 'secret', 'token', 'downwardAPI']);
  return plan.mounts.map((m) => {
    const folder = volumeFolder(c, m.volume);
    const volume = c.volumes.find((v) => v.name === m.volume);
    const fixed = volume?.sources.some((s) => readOnlySources.has(s.kind)) ?? false;
    const source = m.subPath === undefined ? folder : join(folder, m.subPath);
    return { source, target: m.mountPath, readOnly: m.readOnly || fixed, file: fixed && m.subPath !== undefined };
  });
}

function accountMount(c: ContainerContext, plan: ContainerPlan): BindMount[] {
  if (!c.mountToken || plan.mounts.some((m) => m.mountPath === accountPath)) return [];
  return [{ source: volumeFolder(c, accountVolume.name), target: accountPath, readOnly: true, file: false }];
}

function checkoutMount(plan: ContainerPlan): BindMount[] {
  return plan.image.needsCheckout ? [{ source: checkout, target: checkout, readOnly: true, file: false }] : [];
}
