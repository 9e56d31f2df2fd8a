/** The containers of one node of a lab, as its kubelet shows them. */
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Fd } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { Channels } from '../../common/kube/kubelet/channels.ts';
import type { PodRef } from '../../common/kube/kubelet/requests.ts';
import { closeFd, openNetns, socketsInNetns } from '../../native/index.ts';
import type { ContainerInput, RunningContainer } from '../pods/container.ts';
import { execArgv } from '../pods/launch.ts';
import { type ContainerLog, readLog } from '../pods/log.ts';
import { followSize, runProcess } from './process.ts';
import {
  type AttachRequest,
  type ContainerRuntime,
  type DialRequest,
  type ExecRequest,
  exitStatus,
  type LogRequest,
  type Run,
} from './runtime.ts';
import { Refusal } from './server.ts';

/** One container of a pod as it is now. */
export interface ContainerView {
  /** undefined: it does not run. */
  readonly running: RunningContainer | undefined;
  /** Why it does not run (yet): `ContainerCreating`, `CrashLoopBackOff`. */
  readonly waiting: string | undefined;
  /** Of this run, or of the last one when it does not run. */
  readonly log: ContainerLog | undefined;
  /** Of the run before. */
  readonly previousLog: ContainerLog | undefined;
}

export interface PodView {
  /** undefined: the pod has no container of this name. */
  container(name: string): ContainerView | undefined;
  /** Path of its network namespace; undefined before it has one. */
  readonly netns: string | undefined;
}

/** undefined: no such pod runs on the node. */
export type FindPod = (pod: PodRef) => PodView | undefined;

/** Bytes that a user who reads slowly may leave untaken before an attach is cut: the container does not wait for them. */
const mostUnread = 4 * 1024 * 1024;

export function nodeContainers(find: FindPod, clock: Clock): ContainerRuntime {
  const podOf = (ref: PodRef): PodView => {
    const pod = find(ref);
    if (pod === undefined) throw new Refusal(404, 'NotFound', `pod ${ref.name} does not run on this node`);
    return pod;
  };
  const viewOf = ({ pod, container }: { readonly pod: PodRef; readonly container: string }): ContainerView => {
    const view = podOf(pod).container(container);
    if (view !== undefined) return view;
    throw new Refusal(404, 'NotFound', `pod ${pod.name} has no container ${container}`);
  };
  const runningOf = (request: { readonly pod: PodRef; readonly container: string }): RunningContainer => {
    const { running, waiting } = viewOf(request);
    if (running !== undefined) return running;
    const why = waiting ?? 'it has ended';
    throw new Refusal(
      400,
      'BadRequest',
      `container ${request.container} of pod ${request.pod.name} does not run: ${why}`,
    );
  };
  return {
    logs: async (request, signal) => logs(viewOf(request), request, signal),
    exec: async (request) => exec(runningOf(request), request, clock),
    attach: async (request) => attach(runningOf(request), request),
    dial: async (request, signal) => dial(podOf(request.pod), request, signal),
  };
}

function logs(view: ContainerView, request: LogRequest, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const { pod, container, options } = request;
  const log = options.previous ? view.previousLog : view.log;
  if (log === undefined) {
    const message = options.previous
      ? `previous terminated container "${container}" in pod "${pod.name}" not found`
      : `container "${container}" in pod "${pod.name}" is waiting to start: ${view.waiting ?? 'PodInitializing'}`;
    throw new Refusal(400, 'BadRequest', message);
  }
  return readLog(log.file, log, options, signal);
}

function exec(running: RunningContainer, { command, options }: ExecRequest, clock: Clock): Run {
  const terminal = options.tty ? ['/usr/bin/setsid', '--ctty', '--wait'] : [];
  const env = options.tty ? { TERM: 'xterm', ...running.env } : running.env;
  const argv = execArgv({ ...running, argv: [...terminal, ...command] });
  return runProcess({ argv, env, owner: running.privileges.user?.uid ?? 0, clock }, options);
}

/** Output from now on, and input where the container has one. */
function attach(running: RunningContainer, { options }: AttachRequest): Run {
  const { input } = running;
  if (options.stdin && input === undefined)
    throw new Refusal(400, 'BadRequest', 'the container has no stdin: its manifest does not ask for one');
  if (options.tty && input?.terminal === undefined)
    throw new Refusal(400, 'BadRequest', 'the container has no terminal: its manifest does not ask for stdin and tty');
  return async (channels, signal) => {
    const output = { stdout: new Readable({ read: () => undefined }), stderr: new Readable({ read: () => undefined }) };
    const end = (e?: Error) => {
      for (const stream of Object.values(output)) e === undefined ? stream.push(null) : stream.destroy(e);
    };
    const stop = running.log.listen((stream, bytes) => {
      output[stream].push(bytes);
      if (output[stream].readableLength > mostUnread) end(new Error('the output is not read'));
    });
    signal.addEventListener('abort', () => end(), { once: true });
    void running.log.over.then(() => end());
    if (options.stdin && input !== undefined) void give(channels.stdin, input);
    if (input?.terminal !== undefined) void followSize(channels, input.terminal);
    try {
      await showOutput(output, channels);
    } finally {
      stop();
    }
    // How the container ended is told by its pod's status.
    return exitStatus(0);
  };
}

/** Until whoever attached has said all, or is gone. */
async function give(from: Readable, { stream, once }: ContainerInput): Promise<void> {
  try {
    for await (const bytes of from) {
      if (stream.destroyed || stream.writableEnded) return;
      await new Promise<void>((resolve) => stream.write(bytes, () => resolve()));
    }
  } catch {
    // The connection broke: what it brought is given.
  } finally {
    if (once && !stream.destroyed) stream.end();
  }
}

async function showOutput(
  output: { readonly stdout: Readable; readonly stderr: Readable },
  channels: Channels,
): Promise<void> {
  await Promise.all([pipeline(output.stdout, channels.stdout), pipeline(output.stderr, channels.stderr)]);
}

const loopbacks = [
  { family: 4, host: '127.0.0.1' },
  { family: 6, host: '::1' },
] as const;

async function dial({ netns }: PodView, { pod, port }: DialRequest, signal: AbortSignal): Promise<Socket> {
  if (netns === undefined) throw new Refusal(400, 'BadRequest', `pod ${pod.name} has no network yet`);
  let failure: unknown;
  for (const { family, host } of loopbacks) {
    try {
      return await connectIn(netns, family, host, port, signal);
    } catch (e) {
      failure ??= e;
    }
  }
  throw failure;
}

async function connectIn(
  netns: string,
  family: 4 | 6,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<Socket> {
  const namespace = openNetns(netns);
  let fd: Fd;
  try {
    [fd] = socketsInNetns(namespace, { family, type: 'stream' }, 1) as [Fd];
  } finally {
    closeFd(namespace);
  }
  const socket = new Socket({ fd, allowHalfOpen: true, signal });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect({ host, port }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  return socket;
}
