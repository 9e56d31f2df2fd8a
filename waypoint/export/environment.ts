/** What exports use of the process around them. */
import type { Caller } from '../filters/caller.ts';
import { callerOf } from '../http/router/call.ts';
import type { Environment } from '../runtime/environment.ts';

export interface ExportEnvironment
  extends Pick<Environment, 'clock' | 'stats' | 'exporters' | 'node' | 'ownAddress' | 'variable' | 'write'> {
  readonly caller: Caller;
}

export function exportEnvironment(env: Environment): ExportEnvironment {
  return { ...env, caller: callerOf(env) };
}
