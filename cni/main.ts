/**
 * `bin/cni-agent`: the capture agent of a node (`run`, the default), its removal (`uninstall`), or the rules of a machine with a
 * ztunnel of its own (`redirect`). Exit code 1: failed, 2: wrong use.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { reportMistakes } from '../common/config/reader.ts';
import { millis } from '../common/core/brand.ts';
import { systemClock } from '../common/core/clock.ts';
import { assertNever, describeError, MeshError } from '../common/core/errors.ts';
import { createLogger, type Logger } from '../common/core/log.ts';
import type { Ip, Port } from '../common/core/net.ts';
import { openSource } from '../common/kube/open-source.ts';
import { sameNodeSocket } from '../common/zds/same-node.ts';
import { closeFd, destroyTcpSocket, openNetns, seqpacketListen } from '../native/index.ts';
import { Agent, type AgentOptions } from './agent.ts';
import { PacketSizes } from './capture/big-tcp.ts';
import { chooseCapture } from './capture/choose.ts';
import { captureMachine } from './capture/machine.ts';
import type { CaptureBackend } from './capture/types.ts';
import { type AgentConfig, readConfig, usage } from './config.ts';
import { PluginInstaller } from './install/installer.ts';
import { serveMonitoring } from './monitoring/server.ts';
import { type PodKernel, podKernel } from './pods/kernel.ts';
import { parseRedirect, redirectUsage } from './redirect/args.ts';
import { redirect, redirectText } from './redirect/redirect.ts';
import { checkRequirements } from './requirements.ts';
import { onRetirement, retireAll } from './retirement.ts';
import { removePlugin, uninstall } from './uninstall.ts';

const pluginBinary = fileURLToPath(new URL('plugin/build/aquifer-cni', import.meta.url));

async function main(): Promise<void> {
  const [command, ...rest] = process.argv.slice(2);
  if (command === 'redirect') {
    redirectMachine(rest);
    return;
  }
  const parsed = readConfig(process.argv.slice(2));
  if (parsed.kind === 'invalid') {
    reportMistakes('cni-agent', [...parsed.errors, usage]);
    process.exitCode = 2;
    return;
  }
  const { config } = parsed;
  const log = createLogger(parsed.sink, 'cni');
  const abort = new AbortController();
  if (config.command === 'uninstall') await remove(config, log, abort.signal);
  else if (config.command === 'retire') await retire(config, abort.signal);
  else await run(config, log, abort);
}

/** Needs none of the agent's settings: a virtual machine has no agent. */
function redirectMachine(args: readonly string[]): void {
  const parsed = parseRedirect(args);
  switch (parsed.kind) {
    case 'help':
      process.stdout.write(redirectUsage);
      return;
    case 'invalid':
      reportMistakes('cni-agent redirect', [...parsed.errors, redirectUsage]);
      process.exitCode = 2;
      return;
    case 'ok':
      if (parsed.command.dryRun) process.stdout.write(redirectText(parsed.command));
      else redirect(parsed.command);
      return;
    default:
      assertNever(parsed);
  }
}

async function run(config: AgentConfig, log: Logger, abort: AbortController): Promise<void> {
  checkRequirements(config);
  const machine = captureMachine(config, log);
  const { kind, why } = chooseCapture({ ...machine, ...config, wanted: config.capture });
  log.info('capture is chosen', { capture: kind, why });
  const capture = machine.create[kind]();
  capture.start();
  // A ztunnel that finds this socket would wait for somebody to steer to its listeners.
  if (capture.proxyPorts === 'fixed') rmSync(config.steeringPath, { force: true });
  if (config.sameNode) requireSocketsToEnd();
  else rmSync(sameNodeSocket(config.zdsPath), { force: true });
  const kube = openSource(config.objects!, abort.signal);
  mkdirSync(dirname(config.zdsPath), { recursive: true });
  const agent = new Agent({
    ...config,
    kube,
    kernel: machineKernel(config, log),
    capture,
    clock: systemClock,
    log,
    plugin: servedPlugin(config, log),
    listen: {
      zds: () => seqpacketListen(config.zdsPath),
      steering: () => seqpacketListen(config.steeringPath),
      ...(config.sameNode && { sameNode: () => seqpacketListen(sameNodeSocket(config.zdsPath)) }),
    },
  });
  const { registry } = agent.metrics;
  let retirement: Promise<void> | undefined;
  let retired = false;
  const ready = () => !retired && (retirement !== undefined || agent.ready);
  const monitoring = await serveMonitoring({ port: config.monitoringPort, registry, ready });
  const stop = async () => {
    log.info(retirement === undefined ? 'stopping; capture stays as it is' : 'stopping');
    // What it has begun it ends.
    await retirement;
    agent.stop();
    monitoring.close();
    monitoring.closeAllConnections();
    abort.abort();
    capture.close();
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
  await agent.start();
  if (config.home !== undefined) {
    const { home } = config;
    onRetirement({ kube, home, clock: systemClock, log, signal: abort.signal }, () => {
      retirement = retireNode(agent, capture, config, log)
        .catch((e: unknown) => log.error('this node is not as it was before', { error: describeError(e) }))
        .finally(() => {
          retired = true;
        });
    });
  }
  log.info('capture agent is ready', { node: config.nodeName, zds: config.zdsPath, capture: capture.kind });
}

/** What cannot be cut must not begin. MeshError CONFIG. */
function requireSocketsToEnd(): void {
  const netns = openNetns('/proc/self/ns/net');
  // No TCP connection has these ends (RFC 5737).
  const nobody = { ip: '192.0.2.1' as Ip, port: 1 as Port };
  try {
    destroyTcpSocket(netns, { local: nobody, remote: nobody, cookie: 1n });
  } catch (e) {
    const why = `AQUIFER_SAME_NODE=direct cannot be: this kernel does not end open connections (CONFIG_INET_DIAG_DESTROY): ${describeError(e)}`;
    throw new MeshError('CONFIG', why, { cause: e });
  } finally {
    closeFd(netns);
  }
}

/** Pods of this node get so long to leave, of which they need some seven seconds for what is open. */
const retirementMost = millis(25_000);
/** All nodes, each as long as one, and what the API server takes to tell. */
const allMost = millis(60_000);

/** The node as it was before the agent came. No pod of it is in the mesh when this ends, whatever its labels say. */
async function retireNode(agent: Agent, capture: CaptureBackend, config: AgentConfig, log: Logger): Promise<void> {
  log.info('the agents of this cluster are retired: pods leave the mesh');
  // First of all, so that no pod waits for an agent that is gone.
  agent.stopPlugin();
  if (config.plugin !== undefined) removePlugin(config.plugin, log);
  await agent.pods.retire(AbortSignal.timeout(retirementMost));
  agent.stop();
  const paths = [config.zdsPath, config.steeringPath, sameNodeSocket(config.zdsPath)];
  for (const path of paths) rmSync(path, { force: true });
  capture.destroy();
  log.info('capture was removed from this node');
}

async function retire({ home, objects }: AgentConfig, signal: AbortSignal): Promise<void> {
  const keepAlive = setInterval(() => undefined, 60_000);
  await retireAll(openSource(objects!, signal), home!, systemClock, allMost);
  clearInterval(keepAlive);
}

function machineKernel({ cgroupRoot, cgroupMount, legacyCgroupRoots, bigTcp }: AgentConfig, log: Logger): PodKernel {
  return podKernel([cgroupRoot, ...legacyCgroupRoots], cgroupMount ?? cgroupRoot, new PacketSizes(bigTcp, log));
}

function servedPlugin({ plugin, excludedNamespaces }: AgentConfig, log: Logger): AgentOptions['plugin'] {
  if (plugin === undefined) {
    log.warn(
      'no CNI plugin: a pod is captured once it runs, so what it calls before is not (CNI_NET_DIR installs one)',
    );
    return undefined;
  }
  const { runDir, place } = plugin;
  const shared = { binary: pluginBinary, runDir, excludedNamespaces, clock: systemClock, log };
  return { runDir, installer: place && new PluginInstaller({ ...place, ...shared }) };
}

async function remove(config: AgentConfig, log: Logger, signal: AbortSignal): Promise<void> {
  // First of all, so that no pod waits for an agent that is gone.
  if (config.plugin !== undefined) removePlugin(config.plugin, log);
  const { standing, create } = captureMachine(config, log);
  if (standing === undefined) {
    log.info('nothing captures on this node');
    return;
  }
  const capture = create[standing]();
  capture.start();
  const kube = config.objects && config.nodeName ? openSource(config.objects, signal) : undefined;
  const kernel = machineKernel(config, log);
  // Timers of the clock do not keep a process alive.
  const keepAlive = setInterval(() => undefined, 60_000);
  await uninstall({ ...config, kube, kernel, capture, clock: systemClock, log, signal });
  clearInterval(keepAlive);
}

main().catch((e: unknown) => {
  process.stderr.write(`cni-agent: ${describeError(e)}\n`);
  process.exit(1);
});
