/** Runs a container's hooks. */
import { spawn } from 'node:child_process';
import { millis } from '../../common/core/brand.ts';
import { type Clock, sleep } from '../../common/core/clock.ts';
import { assertNever } from '../../common/core/errors.ts';
import type { Hook } from '../manifest/lifecycle.ts';
import type { ProberClient } from '../prober/client.ts';
import type { RunningContainer } from './container.ts';
import { execArgv } from './launch.ts';

export interface HookTarget {
  readonly container: RunningContainer;
  readonly podIp: string;
  readonly prober: ProberClient;
  readonly clock: Clock;
}

/** Milliseconds that an HTTP hook may take where nothing else ends it; kubelet has no limit. */
const longestHttp = 600_000;

/** Resolves with what went wrong, or undefined; also when the signal aborts. */
export async function runHook(t: HookTarget, hook: Hook, signal: AbortSignal): Promise<string | undefined> {
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  switch (hook.kind) {
    case 'sleep':
      await sleep(t.clock, millis(hook.milliseconds), signal);
      return undefined;
    case 'exec':
      return runCommand(t.container, hook.command, signal);
    case 'http':
      return Promise.race([aborted, t.prober.try({ ...hook, host: hook.host ?? t.podIp }, longestHttp)]);
    default:
      return assertNever(hook);
  }
}

/** As the container runs. Resolves with what went wrong and what the command said, or undefined. */
export function runCommand(
  container: RunningContainer,
  command: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const [program = '', ...args] = execArgv({ ...container, argv: command });
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: container.env });
    const kill = () => void child.kill('SIGKILL');
    if (signal.aborted) kill();
    signal.addEventListener('abort', kill, { once: true });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        if (said.length < longestWords) said += text;
      });
    const end = (result: string | undefined) => {
      signal.removeEventListener('abort', kill);
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
      resolve(result);
    };
    child.on('error', (e) => end(e.message));
    child.on('exit', (code, by) => {
      if (code === 0) return end(undefined);
      const how = by === null ? `exit code ${code}` : `ended by ${by}`;
      end(
        [`${command.join(' ')}: ${how}`, said.trim()]
          .filter((s) => s !== '')
          .join(': ')
          .slice(0, longestWords),
      );
    });
  });
}

/** Of what a command says, for an event. */
const longestWords = 1024;
