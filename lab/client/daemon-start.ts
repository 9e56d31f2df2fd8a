/** How the start of a lab's daemon went and, where it did not go well, what the logs say about it. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { readIfPresent } from '../../common/core/files.ts';
import type { DaemonMessage } from '../daemon/main.ts';
import { programEnded } from '../programs/supervised.ts';

/** Lines quoted of each log: an uncaught error of Node takes about ten. */
const quoted = 12;

/** What the daemon says, or that it ended, or was silent for `timeout` ms, without a word. */
export type DaemonStart = DaemonMessage | { readonly kind: 'silent'; readonly message: string };

export function daemonStart(child: ChildProcess, timeout: number): Promise<DaemonStart> {
  return new Promise((resolve) => {
    let said: DaemonMessage | undefined;
    const silent = (message: string) => end(said ?? { kind: 'silent', message });
    const end = (start: DaemonStart) => {
      clearTimeout(timer);
      resolve(start);
    };
    const timer = setTimeout(() => silent(`its daemon is not up within ${timeout} ms`), timeout);
    child.once('message', (message) => {
      said = message as DaemonMessage;
      // After a failure it ends, and only then its log is whole.
      if (said.kind === 'up') end(said);
    });
    child.once('error', (e) => silent(e.message));
    // Unlike `exit` it comes after the last message.
    child.once('close', (code, signal) => silent(`its daemon ended with ${signal ?? `code ${code}`}`));
  });
}

/** The message with the ends of the logs that matter: the daemon's if it said nothing, and those of programs that ended. */
export async function explainStart(start: Exclude<DaemonStart, { kind: 'up' }>, logFolder: string): Promise<string> {
  const read = async (file: string) => (await readIfPresent(join(logFolder, file))) ?? '';
  const own = 'lab@cp.log';
  const ended = endedPrograms(await read(own));
  const files = [...(start.kind === 'silent' ? [own] : []), ...ended.keys()];
  const sections = await Promise.all(
    files.map(async (file) => {
      const times = ended.get(file);
      const lines = lastLines(await read(file));
      return [
        `${file}${times === undefined ? '' : ` (ended ${times === 1 ? 'once' : `${times} times`})`}${lines.length === 0 ? ' is empty' : ':'}`,
        ...lines.map((line) => `  ${line}`),
      ];
    }),
  );
  return [start.message, ...sections.flat()].join('\n  ');
}

/** Log files of programs that the daemon had to start again, and how often. */
function endedPrograms(daemonLog: string): ReadonlyMap<string, number> {
  const ended = new Map<string, number>();
  for (const line of daemonLog.split('\n')) {
    const [, name, host] = (line.includes(programEnded) && / name="([^"]+)" host="([^"]+)"/.exec(line)) || [];
    if (name === undefined) continue;
    const file = `${name}@${host}.log`;
    ended.set(file, (ended.get(file) ?? 0) + 1);
  }
  return ended;
}

function lastLines(log: string): readonly string[] {
  return log
    .split('\n')
    .filter((line) => line !== '')
    .slice(-quoted);
}
