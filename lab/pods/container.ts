/** Runs one container of a pod: makes its file system, starts its process, waits for the end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import type { Fd } from '../../common/core/brand.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { closeFd, makePipe, openTerminal, type Terminal } from '../../native/index.ts';
import { checkout } from '../config.ts';
import { isInstalled, isUnpacked, layerFolder } from '../image/packages.ts';
import { readPipe } from '../kubelet/process.ts';
import type { ContainerPlan } from '../manifest/container-plan.ts';
import { expand, resolveEnv, serviceEnv } from '../manifest/env.ts';
import type { PodPlan } from '../manifest/pod-plan.ts';
import { isInnerPath, type VolumeMountPlan } from '../manifest/volume.ts';
import { podLogFolder } from '../names.ts';
import { killCgroup, makeCgroup } from '../system/cgroup.ts';
import { exitCode } from '../system/exit-code.ts';
import { type LimitedGroup, limitGroup } from '../system/limits.ts';
import { systemPath } from '../system/run.ts';
import { containerArgv, type Namespaces } from './launch.ts';
import { ContainerLog } from './log.ts';
import { type BindMount, prepareRootfs } from './rootfs.ts';
import type { ContainerProcess } from './state-file.ts';
import type { PodVolumes, VolumeContext } from './volumes.ts';

export interface ContainerContext extends VolumeContext {
  readonly plan: PodPlan;
  readonly files: PodVolumes;
  readonly namespaces: Namespaces;
  readonly podCgroup: string;
  readonly hostname: string;
  /** Absolute path in a container -> content. */
  networkFiles(): Readonly<Record<string, string>>;
  /** MeshError when a CNI plugin says that the pod's network is not as it should be. */
  checkNetwork(): Promise<void>;
}

/** How a container ended. */
export interface ContainerEnd {
  /** Exit code, or 128 + signal number. */
  readonly code: number;
  /** The kernel ended it, or what it started, because its memory was used up. */
  readonly outOfMemory: boolean;
  /** What it wrote into its termination message, or its log's end instead. */
  readonly message: string;
}

/** What those who attach may write into. */
export interface ContainerInput {
  readonly stream: Writable;
  /** Ends with the first who attached. */
  readonly once: boolean;
  readonly terminal: Terminal | undefined;
}

export interface RunningContainer extends ContainerProcess {
  readonly log: ContainerLog;
  readonly input: ContainerInput | undefined;
  /** Limits that the machine does not keep. */
  readonly unmet: LimitedGroup['unmet'];
  /** When the process has ended and all that it left has been killed, as with a pid namespace. Never rejects. */
  readonly exited: Promise<ContainerEnd>;
  signal(signal: NodeJS.Signals): void;
}

/** `attempt` counts from 0. MeshError CONFIG or NOT_FOUND when the container cannot be made from what is there now. */
export async function startContainer(
  c: ContainerContext,
  plan: ContainerPlan,
  attempt: number,
): Promise<RunningContainer> {
  const { privileges, privileged, readOnlyRoot, rootRefused } = plan.security;
  const { metadata } = c.pod();
  const { namespace = 'default', name, uid } = metadata;
  if (rootRefused !== undefined)
    throw new MeshError('CONFIG', `${rootRefused} (pod: "${name}_${namespace}(${uid})", container: ${plan.name})`);
  const env = containerEnv(c, plan);
  const dir = join(c.dir, 'containers', plan.name, String(attempt));
  // What an earlier lab process of the same attempt left would be taken for the image.
  await rm(dir, { recursive: true, force: true });
  const message = await makeMessageFile(c, plan, attempt);
  const sharedMemory = join(c.dir, 'shm');
  await mkdir(sharedMemory, { recursive: true, mode: 0o1777 });
  const rootfs = prepareRootfs({
    dir,
    base: imageRoot(plan),
    layers: imageLayers(c, plan),
    files: { ...plan.image.files, ...c.networkFiles() },
    mounts: [
      ...(await volumeMounts(c, plan, env)),
      ...checkoutMount(plan),
      ...programMounts(c, plan),
      { source: message, target: plan.termination.path, readOnly: false, file: true },
    ],
    workingDir: plan.workingDir,
    readOnly: readOnlyRoot,
    privileged,
    sharedMemory,
  });
  const cgroup = makeCgroup(join(c.podCgroup, plan.name));
  const { memory, cpu } = plan.resources.limits;
  const limits = limitGroup(cgroup, { memory, cpu });
  const cgroups = [cgroup, ...limits.cgroups];
  const argv = containerArgv({
    namespaces: c.namespaces,
    cgroups,
    terminal: plan.tty,
    ...rootfs,
    workingDir: plan.workingDir,
    privileges,
    argv: plan.argv.map((a) => expand(a, env)),
  });
  const logFile = join(podLogFolder(c.runtime.lab, { namespace, name }, plan.name), `${uid}.${attempt}.log`);
  const log = new ContainerLog(logFile, c.runtime.clock);
  const streams = openStreams(plan);
  const child = spawn(argv[0]!, argv.slice(1), {
    stdio: [...streams.child, 'pipe'],
    env,
    // Who has a terminal makes a session of its own, for which it must not lead a group.
    detached: !plan.tty,
  });
  for (const fd of new Set(streams.child)) if (fd !== 'ignore') closeFd(fd);
  log.follow(streams.stdout, streams.stderr);
  const ended = end(child);
  if (child.pid === undefined) throw new MeshError('KERNEL', `${argv[0]} cannot be started`);
  const said = child.stdio[3] as Readable;
  // A container that cannot be entered ends, with the reason in its log.
  await Promise.race([once(said, 'data'), ended]);
  said.destroy();
  const exited = ended.then(async (code): Promise<ContainerEnd> => {
    const outOfMemory = limits.oomKills() > 0;
    // A terminal ends by itself, once all that was written to it has been read.
    if (streams.input?.terminal === undefined) streams.input?.stream.destroy();
    try {
      await killCgroup(cgroup);
      await limits.remove();
      await rm(dir, { recursive: true, force: true });
      return { code, outOfMemory, message: await terminationMessage(message, log, plan, code) };
    } catch (e) {
      c.runtime.log.error('a container left something behind', {
        pod: `${namespace}/${name}`,
        error: describeError(e),
      });
      return { code, outOfMemory, message: '' };
    }
  });
  return {
    pid: child.pid,
    cgroup,
    cgroups,
    env,
    workingDir: plan.workingDir,
    privileges,
    log,
    input: streams.input,
    unmet: limits.unmet,
    exited,
    signal: (signal) => void child.kill(signal),
  };
}

interface Streams {
  readonly child: readonly ('ignore' | Fd)[];
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly input: ContainerInput | undefined;
}

function openStreams(plan: ContainerPlan): Streams {
  const owner = plan.security.privileges.user?.uid ?? 0;
  if (plan.tty) {
    const { terminal, process } = openTerminal(owner);
    const input = plan.stdin === 'none' ? undefined : { stream: terminal, once: plan.stdin === 'once', terminal };
    return { child: [process, process, process], stdout: terminal, stderr: Readable.from([]), input };
  }
  const [out, err] = [makePipe(owner), makePipe(owner)];
  const pipes = { stdout: readPipe(out.read), stderr: readPipe(err.read) };
  if (plan.stdin === 'none') return { child: ['ignore', out.write, err.write], ...pipes, input: undefined };
  const into = makePipe(owner);
  const stream = new Socket({ fd: into.write, readable: false, writable: true });
  // Whoever writes learns it from its own pipe.
  stream.on('error', () => undefined);
  const input = { stream, once: plan.stdin === 'once', terminal: undefined };
  return { child: [into.read, out.write, err.write], ...pipes, input };
}

function end(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.on('error', () => resolve(127));
    child.on('exit', (status, signal) => resolve(exitCode(status, signal)));
  });
}

/** Bytes; Kubernetes' limits. */
const longestMessage = 4096;
const longestLogEnd = 2048;
const logEndLines = 80;

/** Everybody may write it, whatever user a container has. */
async function makeMessageFile(c: ContainerContext, plan: ContainerPlan, attempt: number): Promise<string> {
  const folder = join(c.dir, 'messages');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${plan.name}.${attempt}`);
  await writeFile(file, '');
  await chmod(file, 0o666);
  return file;
}

async function terminationMessage(file: string, log: ContainerLog, plan: ContainerPlan, code: number): Promise<string> {
  const said = await readFile(file).catch(() => Buffer.alloc(0));
  await rm(file, { force: true });
  if (said.length > 0) return said.subarray(0, longestMessage).toString();
  if (code === 0 || !plan.termination.orLog) return '';
  return log.lastLines(logEndLines, longestLogEnd);
}

function containerEnv(c: ContainerContext, plan: ContainerPlan): Record<string, string> {
  const namespace = c.pod().metadata.namespace ?? 'default';
  const { cluster } = c.runtime;
  const links = serviceEnv(cluster.services.objects.values(), namespace, c.plan.serviceLinks);
  const resolved = resolveEnv(
    plan.env,
    {
      pod: c.pod(),
      configMap: (name) => cluster.configMaps.get({ namespace, name }),
      secret: (name) => cluster.secrets.get({ namespace, name }),
      resource: (ref) => c.resource({ ...ref, container: ref.container ?? plan.name }),
    },
    links,
  );
  if (!resolved.ok) throw new MeshError('NOT_FOUND', `${resolved.missing} in namespace "${namespace}"`);
  const terminal = plan.tty ? { TERM: 'xterm' } : {};
  return { PATH: systemPath, HOME: '/root', HOSTNAME: c.hostname, ...terminal, ...plan.image.env, ...resolved.env };
}

function imageRoot({ image: { root }, imageReference }: ContainerPlan): string {
  if (existsSync(join(root, 'usr'))) return root;
  throw new MeshError('CONFIG', `image ${imageReference} is no root file system: it has no folder usr`);
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

async function volumeMounts(
  c: ContainerContext,
  plan: ContainerPlan,
  env: Readonly<Record<string, string>>,
): Promise<BindMount[]> {
  const mounts: BindMount[] = [];
  for (const m of plan.mounts) {
    const source = await c.files.source(m.volume, subPathOf(m, env));
    mounts.push({
      source: source.path,
      target: m.mountPath,
      readOnly: m.readOnly || source.readOnly,
      file: source.isFile,
    });
  }
  return mounts;
}

function subPathOf(m: VolumeMountPlan, env: Readonly<Record<string, string>>): string | undefined {
  if (m.subPathExpr === undefined) return m.subPath;
  const path = expand(m.subPathExpr, env);
  const unknown = /\$\(([^)]*)\)/.exec(path)?.[1];
  if (unknown !== undefined) throw new MeshError('CONFIG', `failed to prepare subPath: no variable "${unknown}"`);
  if (!isInnerPath(path)) throw new MeshError('CONFIG', `failed to prepare subPath: "${path}" leads out of the volume`);
  return path;
}

function checkoutMount(plan: ContainerPlan): BindMount[] {
  return plan.image.needsCheckout ? [{ source: checkout, target: checkout, readOnly: true, file: false }] : [];
}

function programMounts(
  { runtime: { cache } }: ContainerContext,
  { image, imageReference }: ContainerPlan,
): BindMount[] {
  return Object.entries(image.programs).map(([target, file]) => {
    const source = join(cache, file);
    if (!existsSync(source)) {
      const remedy = 'scripts/pinned-node scripts/unpack-wheels.ts puts it there';
      throw new MeshError('CONFIG', `${source} of image ${imageReference} is missing; ${remedy}`);
    }
    return { source, target, readOnly: true, file: true };
  });
}
