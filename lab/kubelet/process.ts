/** Runs one process for a user who is far away: its standard streams are the channels. */
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Channels } from '../../common/kube/kubelet/channels.ts';
import type { ProcessOptions } from '../../common/kube/kubelet/requests.ts';
import { closeFd, makePipe, openTerminal, type Terminal } from '../../native/index.ts';
import { exitCode } from '../system/exit-code.ts';
import { exitStatus, type ProcessStatus, type Run } from './runtime.ts';

export interface ProcessPlan {
  /** With a terminal, its `setsid --ctty` is in here. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** uid that may open its standard streams by name. */
  readonly owner: number;
  readonly clock: Clock;
}

/** Ms that output may go on after the process, when something that it started still has it open. */
const drainTime = millis(2_000);

export function runProcess(plan: ProcessPlan, options: ProcessOptions): Run {
  return (channels, signal) =>
    options.tty ? inTerminal(plan, channels, signal) : piped(plan, options, channels, signal);
}

async function inTerminal(plan: ProcessPlan, channels: Channels, signal: AbortSignal): Promise<ProcessStatus> {
  const { terminal, process } = openTerminal(plan.owner);
  const ended = start(plan, [process, process, process], signal);
  closeFd(process);
  channels.stderr.end();
  pipeline(channels.stdin, terminal, { end: false }).catch(() => undefined);
  void followSize(channels, terminal);
  const output = pipeline(terminal, channels.stdout);
  return over(plan.clock, ended, [output], () => terminal.destroy());
}

async function piped(
  plan: ProcessPlan,
  options: ProcessOptions,
  channels: Channels,
  signal: AbortSignal,
): Promise<ProcessStatus> {
  const input = makePipe(plan.owner);
  const [out, err] = [makePipe(plan.owner), makePipe(plan.owner)];
  const ended = start(plan, [input.read, out.write, err.write], signal);
  for (const fd of [input.read, out.write, err.write]) closeFd(fd);
  const stdin = new Socket({ fd: input.write, readable: false, writable: true });
  stdin.on('error', () => undefined);
  if (options.stdin) pipeline(channels.stdin, stdin).catch(() => undefined);
  else stdin.end();
  const outputs = [readPipe(out.read), readPipe(err.read)] as const;
  const piping = [pipeline(outputs[0], channels.stdout), pipeline(outputs[1], channels.stderr)];
  return over(plan.clock, ended, piping, () => {
    stdin.destroy();
    for (const o of outputs) o.destroy();
  });
}

export function readPipe(fd: number): Socket {
  const stream = new Socket({ fd, readable: true, writable: false });
  stream.on('error', () => undefined);
  return stream;
}

/** Resolves with the exit code. */
function start(plan: ProcessPlan, stdio: readonly number[], signal: AbortSignal): Promise<number> {
  const [program = '', ...args] = plan.argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: plan.env, stdio: [...stdio] });
    // Whoever goes away ends what only they were to see.
    signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true });
    child.on('error', reject);
    child.on('exit', (code, by) => resolve(exitCode(code, by)));
  });
}

async function over(
  clock: Clock,
  ended: Promise<number>,
  outputs: readonly Promise<void>[],
  close: () => void,
): Promise<ProcessStatus> {
  const drained = Promise.allSettled(outputs);
  const done = new AbortController();
  void drained.then(() => done.abort());
  try {
    const code = await ended;
    await sleep(clock, drainTime, done.signal);
    return exitStatus(code);
  } catch (e) {
    return { metadata: {}, status: 'Failure', message: describeError(e), reason: 'InternalError' };
  } finally {
    close();
    await drained;
  }
}

/** Lines of `{"Width":80,"Height":24}`. */
export async function followSize({ resize }: Channels, terminal: Terminal): Promise<void> {
  try {
    for await (const size of jsonValues(resize)) {
      const { Width: columns, Height: rows } = size as { readonly Width?: unknown; readonly Height?: unknown };
      if (isSize(columns) && isSize(rows)) terminal.resize(columns, rows);
    }
  } catch {
    // The user is gone, or speaks of sizes in another way: the terminal keeps the size it has.
  }
}

/** Clients write one JSON object after the other, some with a line's end and some without. */
async function* jsonValues(stream: Readable): AsyncGenerator<unknown> {
  let text = '';
  for await (const chunk of stream) {
    text += String(chunk);
    for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}')) {
      yield JSON.parse(text.slice(0, end + 1)) as unknown;
      text = text.slice(end + 1);
    }
    if (text.length > 1000) return;
  }
}

function isSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536;
}
