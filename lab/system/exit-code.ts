import { constants } from 'node:os';

/** As a shell counts: a process that a signal ended has code 128 + signal number. */
export function exitCode(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}
