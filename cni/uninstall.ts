/** `cni-agent uninstall`: takes this node's pods out of the mesh and removes what capture left in the kernel. */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Millis } from '../common/core/brand.ts';
import { type Clock, sleep } from '../common/core/clock.ts';
import { isCode } from '../common/core/files.ts';
import type { Logger } from '../common/core/log.ts';
import { keyOf } from '../common/kube/informer.ts';
import { podKind } from '../common/kube/kinds/core.ts';
import type { KubeSource } from '../common/kube/types.ts';
import type { CaptureBackend } from './capture/types.ts';
import type { PluginConfig } from './config.ts';
import { uninstallPlugin } from './install/installer.ts';
import { removeOutside } from './plugin-server/outside.ts';
import { pluginSocket } from './plugin-server/server.ts';
import { announce, redirectionOf } from './pods/announce.ts';
import { ipsOf, leavingPod } from './pods/captured-pod.ts';
import type { PodKernel } from './pods/kernel.ts';

export interface UninstallOptions {
  /** undefined: no objects can be reached; only the kernel is cleaned up. */
  readonly kube: KubeSource | undefined;
  readonly nodeName: string;
  readonly kernel: PodKernel;
  /** Started. */
  readonly capture: Pick<CaptureBackend, 'enrolled' | 'setPlaintext' | 'remove' | 'destroy'>;
  readonly withdrawGrace: Millis;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** The plugin and what it reads. The run directory goes if nothing else is in it. */
export function removePlugin({ runDir, place }: PluginConfig, log: Logger): void {
  const changed = place === undefined ? [] : uninstallPlugin(place);
  removeOutside(runDir);
  rmSync(join(runDir, pluginSocket), { force: true });
  removeIfEmpty(runDir);
  log.info('the CNI plugin was removed from this node', { files: changed.join() });
}

function removeIfEmpty(folder: string): void {
  if (!existsSync(folder) || readdirSync(folder).length > 0) return;
  try {
    rmdirSync(folder);
  } catch (e) {
    // A volume of this container, in a file system that it may not write.
    if (!isCode(e, 'EBUSY') && !isCode(e, 'EROFS')) throw e;
  }
}

/** As when one pod leaves: apps take plain text, peers are told and given the grace. The agent must not be running. */
export async function uninstall(options: UninstallOptions): Promise<void> {
  const { kube, nodeName, kernel, capture, log, signal } = options;
  const all = kube === undefined ? [] : (await kube.list(podKind, signal)).items;
  const enrolled = new Set(capture.enrolled());
  const pods = all.filter(
    (pod) => pod.spec.nodeName === nodeName && (enrolled.has(pod.metadata.uid) || redirectionOf(pod) !== undefined),
  );
  const held = pods.flatMap((pod) => {
    const found = kernel.discover(pod.metadata.uid);
    if (found.kind === 'absent') return [];
    const netns = found.netns.fd;
    return [leavingPod(pod, { netns, cookie: kernel.cookie(netns), ips: ipsOf(pod) })];
  });
  for (const pod of held) capture.setPlaintext(pod, 'direct');
  for (const pod of pods.filter((p) => redirectionOf(p) !== undefined)) {
    await announce(kube!, pod, undefined);
    log.info('pod leaves the mesh', { pod: keyOf(pod.metadata) });
  }
  if (pods.length > 0) await sleep(options.clock, options.withdrawGrace, signal);
  for (const pod of held) {
    capture.remove(pod);
    kernel.restorePackets(pod.netns);
    kernel.close(pod.netns);
  }
  capture.destroy();
  log.info('capture was removed from this node', { pods: pods.length });
}
