/** `aquifer wait --for=CONDITION KIND/NAME`: until the object's status says so, of the generation that it has. */
import { parseArgs } from 'node:util';
import { parseDuration } from '../common/config/duration.ts';
import type { Settings } from '../common/config/reader.ts';
import { type Millis, millis } from '../common/core/brand.ts';
import { type Clock, sleep, systemClock } from '../common/core/clock.ts';
import { describeError } from '../common/core/errors.ts';
import type { Condition } from '../common/kube/kinds/core.ts';
import { customKinds } from '../common/kube/schema/table.ts';
import type { Kind, KubeObject, KubeSource } from '../common/kube/types.ts';
import { openClient } from './api-access.ts';
import { UsageError } from './arguments.ts';
import type { AccessValues } from './connection-options.ts';
import { waitOptions } from './options.ts';

export interface WaitArgs {
  /** A condition's type, in any case of letters. */
  readonly condition: string;
  readonly objects: readonly { readonly kind: Kind<WithStatus>; readonly name: string }[];
  readonly namespace: string;
  readonly timeout: Millis;
  readonly access: AccessValues;
}

interface WithStatus extends KubeObject {
  readonly status?: {
    readonly conditions?: readonly Condition[];
    /** Of routes of the Gateway API. */
    readonly parents?: readonly { readonly conditions?: readonly Condition[] }[];
  };
}

/** A string is what is wrong. */
export function parseWaitArgs(args: readonly string[]): WaitArgs | string {
  let parsed: ReturnType<typeof read>;
  try {
    parsed = read(args);
  } catch (e) {
    return describeError(e);
  }
  const { values, positionals } = parsed;
  if (values.for === undefined) return '--for is missing: --for=programmed';
  const timeout = parseDuration(values.timeout);
  if (timeout === undefined) return `--timeout=${values.timeout}: expected a duration such as 30s or 5m`;
  if (positionals.length === 0) return 'no object is named: KIND/NAME';
  const objects: { readonly kind: Kind<WithStatus>; readonly name: string }[] = [];
  for (const text of positionals) {
    const [word = '', name = '', ...more] = text.split('/');
    if (name === '' || more.length > 0) return `${JSON.stringify(text)} is not KIND/NAME`;
    const kind = kindOf(word);
    if (kind === undefined) return `${JSON.stringify(word)} is not a kind of the mesh`;
    objects.push({ kind, name });
  }
  const condition = values.for.replace(/^condition=/, '');
  return { condition, objects, namespace: values.namespace, timeout, access: values };
}

function read(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: waitOptions,
  });
}

/** By kind, plural, singular or short name, with or without its group. */
function kindOf(word: string): Kind<WithStatus> | undefined {
  const wanted = word.toLowerCase();
  for (const { kind, shortNames } of customKinds) {
    const names = [kind.kind.toLowerCase(), kind.plural, ...shortNames];
    if (names.includes(wanted) || names.some((n) => `${n}.${kind.group}` === wanted)) return kind as Kind<WithStatus>;
  }
  return undefined;
}

export async function run(args: readonly string[]): Promise<number> {
  const parsed = parseWaitArgs(args);
  if (typeof parsed === 'string') throw new UsageError(`${parsed}; see aquifer wait --help`);
  return runWait(parsed, process.env);
}

/** Resolves with the exit code. */
async function runWait(args: WaitArgs, env: Settings): Promise<number> {
  const source = openClient(args.access, env);
  try {
    const { lines, met } = await waitFor(args, source, systemClock);
    for (const line of lines) (met ? process.stdout : process.stderr).write(`${line}\n`);
    return met ? 0 : 1;
  } finally {
    source.close();
  }
}

/** Ms between two looks. */
const interval = millis(250);

export async function waitFor(
  { condition, objects, namespace, timeout }: WaitArgs,
  source: Pick<KubeSource, 'get'>,
  clock: Clock,
): Promise<{ readonly met: boolean; readonly lines: readonly string[] }> {
  const end = clock.now() + timeout;
  const never = new AbortController().signal;
  const lines: string[] = [];
  for (const { kind, name } of objects) {
    const title = `${kind.kind} ${namespace}/${name}`;
    for (;;) {
      const object = await source.get(kind, { namespace, name });
      const state = stateOf(object, condition);
      if (state.met) {
        lines.push(`${title}: ${state.text}`);
        break;
      }
      if (clock.now() >= end)
        return { met: false, lines: [`${title} is not ${condition} after ${timeout / 1000} s: ${state.text}`] };
      await sleep(clock, interval, never);
    }
  }
  return { met: true, lines };
}

export function stateOf(
  object: WithStatus | undefined,
  condition: string,
): { readonly met: boolean; readonly text: string } {
  if (object === undefined) return { met: false, text: 'there is no such object' };
  const { conditions = [], parents = [] } = object.status ?? {};
  const found = [...conditions, ...parents.flatMap((p) => p.conditions ?? [])].filter(
    (c) => c.type.toLowerCase() === condition.toLowerCase(),
  );
  const states = found.map((c) => stateOfOne(object, c));
  return states.find((s) => !s.met) ?? states[0] ?? { met: false, text: 'its status does not have this condition' };
}

function stateOfOne(object: WithStatus, found: Condition): { readonly met: boolean; readonly text: string } {
  const text = `${found.type}=${found.status}${found.message ? ` (${found.message})` : ''}`;
  const generation = object.metadata.generation ?? 0;
  if (Number(found.observedGeneration ?? generation) < generation) {
    return { met: false, text: `${text}, of generation ${found.observedGeneration}; the object is at ${generation}` };
  }
  return { met: found.status === 'True', text };
}
