/**
 * Keeps the CNI plugin installed while the agent runs: its binary, and its place at the end of the primary configuration list, which
 * other programs (the network's own agent, above all) may write anew at any time. The plugin stays when the agent ends: pods that
 * start meanwhile wait. Only `uninstall` takes it away.
 */
import { type FSWatcher, mkdirSync, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { isCode } from '../../common/core/files.ts';
import type { Logger } from '../../common/core/log.ts';
import { type Edit, withoutPlugin, withPlugin } from './conflist.ts';
import { isUnchanged, readWithStat, removeDurably, replaceFileDurably } from './files.ts';

export const pluginName = 'aquifer-cni';

export interface PluginPlace {
  /** CNI_NET_DIR: where runtimes look for network configurations. */
  readonly netDir: string;
  /** CNI_BIN_DIR: where they look for plugins. */
  readonly binDir: string;
  /** CNI_CONF_NAME: the file in netDir; undefined takes the one that runtimes take, the first by name. */
  readonly confName: string | undefined;
}

export interface InstallOptions extends PluginPlace {
  /** The plugin as built: cni/plugin/build/aquifer-cni. */
  readonly binary: string;
  readonly runDir: string;
  readonly excludedNamespaces: ReadonlySet<string>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Changes come in bursts. */
const settle = millis(20);
/** Where no change is reported: folders that did not exist, or that are mounted by network. */
const lookEvery = millis(5_000);

export class PluginInstaller {
  readonly #options: InstallOptions;
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  /** Why the plugin does not stand; undefined when it does. */
  #problem: string | undefined = 'not tried yet';

  constructor(options: InstallOptions) {
    this.#options = options;
  }

  /** The plugin stands in the primary configuration. */
  get ready(): boolean {
    return this.#problem === undefined;
  }

  start(): void {
    this.#look();
  }

  /** Leaves the plugin where it is. */
  stop(): void {
    this.#watcher?.close();
    this.#timer?.cancel();
  }

  #look(): void {
    const { log, clock, netDir } = this.#options;
    let problem: string | undefined;
    try {
      this.#watch();
      problem = this.#install();
    } catch (e) {
      problem = describeError(e);
      if (isCode(e, 'EACCES')) problem += '; give the folder to root, or grant CAP_DAC_OVERRIDE';
    }
    if (problem !== undefined && problem !== this.#problem) {
      log.warn('the CNI plugin is not installed: pods are captured only once they run', { folder: netDir, problem });
    }
    this.#problem = problem;
    this.#timer?.cancel();
    this.#timer = clock.after(lookEvery, () => this.#look());
  }

  #watch(): void {
    if (this.#watcher !== undefined) return;
    const { netDir, clock } = this.#options;
    try {
      this.#watcher = watch(netDir, { persistent: false }, () => {
        this.#timer?.cancel();
        this.#timer = clock.after(settle, () => this.#look());
      });
    } catch (e) {
      if (!isCode(e, 'ENOENT')) throw e;
      return;
    }
    this.#watcher.on('error', () => {
      this.#watcher?.close();
      this.#watcher = undefined;
    });
  }

  /** Returns why it cannot be done. */
  #install(): string | undefined {
    const { netDir, binDir, confName, binary, runDir, excludedNamespaces, log } = this.#options;
    const primary = primaryConfig(netDir, confName);
    if (primary === undefined) {
      return confName === undefined ? 'there is no network configuration' : `there is no ${confName}`;
    }
    const wanted = readWithStat(binary);
    if (wanted === undefined) return `${binary} is not built`;
    const binaryPath = join(binDir, pluginName);
    if (!readWithStat(binaryPath)?.content.equals(wanted.content)) {
      mkdirSync(binDir, { recursive: true });
      replaceFileDurably(binaryPath, wanted.content, 0o755);
    }
    const plugin = {
      type: pluginName,
      cni_agent_run_dir: runDir,
      exclude_namespaces: [...excludedNamespaces].sort(),
    };
    for (const name of configNames(netDir).filter((n) => n !== primary)) {
      edit(join(netDir, name), (text) => withoutPlugin(text, pluginName));
    }
    const done = edit(join(netDir, primary), (text) => withPlugin(text, plugin));
    if (done.kind === 'unusable') return `${primary}: ${done.reason}`;
    if (done.kind === 'changed') log.info('the CNI plugin was added', { file: join(netDir, primary) });
    return undefined;
  }
}

/** Takes the plugin out of every configuration, then its binary away. Returns the files that were changed. */
export function uninstallPlugin({ netDir, binDir }: PluginPlace): readonly string[] {
  const changed = configNames(netDir)
    .map((name) => join(netDir, name))
    .filter((path) => edit(path, (text) => withoutPlugin(text, pluginName)).kind === 'changed');
  removeDurably(join(binDir, pluginName));
  return changed;
}

/** By name, as runtimes sort them. */
function configNames(netDir: string): readonly string[] {
  try {
    return readdirSync(netDir)
      .filter((name) => /\.(conflist|conf|json)$/.test(name))
      .sort();
  } catch (e) {
    if (isCode(e, 'ENOENT')) return [];
    throw e;
  }
}

function primaryConfig(netDir: string, confName: string | undefined): string | undefined {
  return configNames(netDir).find((name) => confName === undefined || name === confName);
}

const attempts = 5;

/** Another writer at the same moment wins; what it wrote is edited then. */
function edit(path: string, change: (text: string) => Edit): Edit {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const read = readWithStat(path);
    if (read === undefined) return { kind: 'unusable', reason: 'it is gone' };
    const result = change(read.content.toString());
    if (result.kind !== 'changed') return result;
    if (replaceFileDurably(path, result.text, read.stat.mode & 0o777, () => isUnchanged(path, read))) return result;
  }
  throw new MeshError('CONFLICT', `${path} is written to all the time`);
}
