/** What the filter uses of whoever runs modules: Scripts of a waypoint, or a stand-in where nothing shall run. */
import type { CallResult } from './result.ts';

/** A module with its settings. */
export interface ScriptSpec {
  /** JavaScript. */
  readonly source: string;
  /** JSON. */
  readonly config: string;
}

export interface ScriptHost {
  /** Starts the module, or swaps it: one name has one module. */
  use(name: string, spec: ScriptSpec): RunningScript;
  /** Adds to `script.<name>.<what>`. */
  count(name: string, what: string): void;
  /** Of the module's own. */
  measure(metric: string, labels: readonly (readonly [string, string])[], n: number): void;
  line(name: string, level: 'info' | 'warn' | 'error', text: string): void;
}

export interface Handles {
  readonly request: boolean;
  readonly response: boolean;
}

export interface RunningScript {
  /** False: it has no handler of them, and is not called. Until it has started, it has of requests alone. */
  readonly handles: Handles;
  /** Calls `done` once, later. Returns how to stop waiting. */
  call(text: string, done: (result: CallResult) => void): () => void;
}

/** Runs nothing: every module passes requests on as they are. */
export const noScripts: ScriptHost = {
  use: () => ({ handles: { request: false, response: false }, call: () => () => undefined }),
  count: () => undefined,
  measure: () => undefined,
  line: () => undefined,
};
