/** Starts a lab's daemon, detached: it outlives whoever asked for the lab. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import type { LabApi, LabOptions } from '../api.ts';
import { cleanUp } from '../cleanup.ts';
import { cacheFolder, daemonEnv } from '../config.ts';
import type { LabConfig } from '../daemon/lab-config.ts';
import { cgroupName, checkLabName, labPaths, programLogFile } from '../names.ts';
import { cgroupRoot } from '../system/cgroup.ts';
import { systemPath } from '../system/run.ts';
import { daemonStart, explainStart } from './daemon-start.ts';
import { openLab } from './lab-client.ts';

const mostNodes = 9;
const startTimeout = 60_000;

/** What a lab calls, and the Debian packages that have it. */
const tools = [
  { program: 'ip', package: 'iproute2' },
  { program: 'nft', package: 'nftables' },
  { program: 'nsenter', package: 'util-linux' },
  { program: 'unshare', package: 'util-linux' },
  { program: 'mount', package: 'mount' },
] as const;

export async function bringUp(options: LabOptions): Promise<LabApi> {
  const progress = options.progress ?? (() => undefined);
  const config: LabConfig = {
    name: checkLabName(options.name ?? 'demo'),
    nodes: options.nodes ?? 2,
    mesh: options.mesh ?? true,
    env: options.env ?? {},
    cache: cacheFolder(),
  };
  checkMachine(config);
  await cleanUp(config.name);
  const paths = labPaths(config.name);
  await mkdir(paths.logs, { recursive: true });
  await writeFile(paths.config, `${JSON.stringify(config, undefined, 2)}\n`);
  await writeFile(paths.values, chartValues(join(cgroupRoot(), cgroupName(config.name))));
  progress(`starting lab ${config.name}: ${config.nodes} nodes${config.mesh ? '' : ', without the mesh'}`);
  try {
    await startDaemon(config);
    const lab = await openLab(config, progress);
    for (const manifest of options.manifests ?? []) await lab.apply(manifest);
    return lab;
  } catch (e) {
    await cleanUp(config.name);
    throw e;
  }
}

/** What a node of a lab has elsewhere than a machine of its own. `cgroup`: the lab's. */
function chartValues(cgroup: string): string {
  const node = `${cgroup}/$(NODE_NAME)`;
  return `cni:\n  aquifer:\n    cgroupRoot: ${node}\n    proberCgroup: ${node}/kubelet\n`;
}

function checkMachine(config: LabConfig): void {
  if (!Number.isInteger(config.nodes) || config.nodes < 1 || config.nodes > mostNodes) {
    throw new MeshError('CONFIG', `a lab has 1 to ${mostNodes} nodes, not ${config.nodes}`);
  }
  if (process.platform !== 'linux') throw new MeshError('CONFIG', `a lab needs Linux; this is ${process.platform}`);
  const lacking = tools.filter((t) => !systemPath.split(':').some((folder) => existsSync(join(folder, t.program))));
  if (lacking.length > 0) {
    const programs = lacking.map((t) => t.program).join(', ');
    const packages = [...new Set(lacking.map((t) => t.package))].join(' ');
    throw new MeshError('CONFIG', `a lab needs ${programs}: apt-get install ${packages}`);
  }
  if (!existsSync('/proc/sys/net/ipv6')) throw new MeshError('CONFIG', 'a lab needs IPv6, which this kernel lacks');
  if (process.geteuid?.() !== 0) throw new MeshError('CONFIG', 'a lab makes network namespaces and needs root');
}

async function startDaemon(config: LabConfig): Promise<void> {
  const log = openSync(programLogFile(config.name, 'lab', 'cp'), 'a');
  const main = join(import.meta.dirname, '../daemon/main.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, config.name], {
    stdio: ['ignore', log, log, 'ipc'],
    env: daemonEnv(),
    detached: true,
    cwd: '/',
  });
  closeSync(log);
  const start = await daemonStart(child, startTimeout);
  if (child.connected) child.disconnect();
  child.unref();
  if (start.kind === 'up') return;
  const reason = await explainStart(start, labPaths(config.name).logs);
  throw new MeshError('CONFIG', `lab ${config.name} cannot start: ${reason}`);
}
