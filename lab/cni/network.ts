/**
 * The container runtime's side of CNI (specification 1.0, sections 1 to 4): reads the node's configuration list and runs its plugins
 * one after another, for a pod that comes (ADD), goes (DEL) or is looked after (CHECK). The list's first plugin is the lab's own and
 * runs in this process; the others are programs in the node's folder, as on any node.
 */
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { MeshError } from '../../common/core/errors.ts';
import { exitCode } from '../system/exit-code.ts';
import { systemPath } from '../system/run.ts';

/** Of a node: where its configurations and plugins lie, and where its agent talks to the plugins. */
export interface CniFolders {
  readonly netDir: string;
  readonly binDir: string;
  readonly runDir: string;
  /** What a plugin sees as /run, apart from what is mounted into it. */
  readonly run: string;
}

export function cniFolders(nodeFolder: string): CniFolders {
  const folder = (name: string) => join(nodeFolder, 'cni', name);
  return { netDir: folder('net.d'), binDir: folder('bin'), runDir: folder('run'), run: join(nodeFolder, 'run') };
}

/** `type` of the plugin that is the lab itself. */
export const labPlugin = 'aquifer-lab';
export const labConfigFile = '10-lab.conflist';

/** What every node starts with; a mesh's agent adds its plugin. */
export const labConfig = `${JSON.stringify({ cniVersion: '1.0.0', name: 'lab', plugins: [{ type: labPlugin }] }, null, 2)}\n`;

/** A pod's place in its node's network. */
export interface Attachment {
  readonly folders: CniFolders;
  readonly netns: string;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** The lab's own plugin: makes and removes the pod's link; its result is the first `prevResult`. */
  readonly link: { readonly make: () => Promise<CniResult>; readonly remove: () => Promise<void> };
}

export interface CniResult {
  readonly cniVersion: string;
  readonly interfaces: readonly { readonly name: string; readonly sandbox: string }[];
  readonly ips: readonly { readonly address: string; readonly gateway: string; readonly interface: number }[];
  readonly [field: string]: unknown;
}

interface NetworkList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly PluginConfig[];
}

interface PluginConfig {
  readonly type: string;
  readonly [setting: string]: unknown;
}

type Command = 'ADD' | 'DEL' | 'CHECK';

/** Resolves with the last plugin's result. MeshError with a plugin's reason; what was made stays for {@link removeFromNetwork}. */
export async function addToNetwork(a: Attachment, signal: AbortSignal): Promise<CniResult> {
  const list = await readList(a.folders.netDir);
  let result: CniResult | undefined;
  for (const plugin of list.plugins) {
    if (plugin.type === labPlugin) result = await a.link.make();
    else result = JSON.parse(await runPlugin(a, list, plugin, 'ADD', result, signal)) as CniResult;
  }
  if (result === undefined)
    throw new MeshError('CONFIG', `the network configuration in ${a.folders.netDir} has no plugins`);
  return result;
}

/** In reverse order. A plugin that fails does not keep the others from cleaning up; its error comes at the end. */
export async function removeFromNetwork(a: Attachment, result: CniResult | undefined): Promise<void> {
  const list = await readList(a.folders.netDir);
  const failures: unknown[] = [];
  for (const plugin of [...list.plugins].reverse()) {
    try {
      if (plugin.type === labPlugin) await a.link.remove();
      else await runPlugin(a, list, plugin, 'DEL', result, AbortSignal.timeout(10_000));
    } catch (e) {
      failures.push(e);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** MeshError with the reason of the first plugin that finds something wrong. */
export async function checkNetwork(a: Attachment, result: CniResult, signal: AbortSignal): Promise<void> {
  const list = await readList(a.folders.netDir);
  for (const plugin of list.plugins) {
    if (plugin.type !== labPlugin) await runPlugin(a, list, plugin, 'CHECK', result, signal);
  }
}

/** The first by name, as containerd and CRI-O take it. */
async function readList(netDir: string): Promise<NetworkList> {
  const [first] = (await readdir(netDir)).filter((name) => /\.conflist$/.test(name)).sort();
  if (first === undefined) throw new MeshError('NOT_FOUND', `there is no network configuration in ${netDir}`);
  try {
    return JSON.parse(await readFile(join(netDir, first), 'utf8')) as NetworkList;
  } catch (e) {
    throw new MeshError('CONFIG', `${join(netDir, first)} cannot be read`, { cause: e });
  }
}

/** Folders of /run in which a plugin finds what it needs: namespaces, labs, and its node's agent, where that is a pod's. */
export const pluginRunFolders = ['netns', 'aquifer', 'istio-cni'] as const;

/** A plugin runs among its node's files: two nodes of a lab have agents with a socket at the same path. */
const asOnNode = `set -e
[ ! -d "$2" ] || mount --no-mtab --bind "$2" "$1/istio-cni"
mount --no-mtab --rbind /run/netns "$1/netns"; mount --no-mtab --rbind /run/aquifer "$1/aquifer"; mount --no-mtab --rbind "$1" /run
exec "$3"`;

async function runPlugin(
  a: Attachment,
  list: NetworkList,
  plugin: PluginConfig,
  command: Command,
  prevResult: CniResult | undefined,
  signal: AbortSignal,
): Promise<string> {
  const { cniVersion, name } = list;
  const config = { ...plugin, cniVersion, name, ...(prevResult && { prevResult }) };
  const { namespace, name: podName, uid } = a.pod;
  // The arguments that containerd gives.
  const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${podName};K8S_POD_INFRA_CONTAINER_ID=${uid};K8S_POD_UID=${uid}`;
  const { run, runDir, binDir } = a.folders;
  const own = ['--mount', '--propagation=slave', '/bin/sh', '-c', asOnNode, 'plugin', run, runDir];
  const child = spawn('unshare', [...own, join(binDir, plugin.type)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    signal,
    killSignal: 'SIGKILL',
    env: {
      PATH: systemPath,
      CNI_COMMAND: command,
      CNI_CONTAINERID: uid,
      CNI_NETNS: a.netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: a.folders.binDir,
      CNI_ARGS: args,
    },
  });
  const exited = new Promise<number>((resolve, reject) => {
    child.on('error', (e) => reject(new MeshError('CONFIG', `CNI plugin ${plugin.type}: ${e.message}`, { cause: e })));
    child.on('close', (code, why) => resolve(exitCode(code, why)));
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(JSON.stringify(config));
  const [code, said] = await Promise.all([exited, text(child.stdout)]);
  if (code === 0) return said;
  throw new MeshError('CANCELLED', `CNI plugin ${plugin.type}, ${command}: ${reasonIn(said, code)}`);
}

/** An error result (specification, "Error"), or what there is instead. */
function reasonIn(said: string, code: number): string {
  try {
    const { msg, details } = JSON.parse(said) as { msg?: string; details?: string };
    if (msg !== undefined) return details === undefined ? msg : `${msg}: ${details}`;
  } catch {
    // Not JSON: said below.
  }
  return `exit code ${code}, without a reason`;
}
