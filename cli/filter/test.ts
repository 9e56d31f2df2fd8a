/** `aquifer filter test`: a module's outcomes against those that a file expects. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { systemClock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { silentLogger } from '../../common/core/log.ts';
import { codeOf } from '../../istiod/modules/resolver.ts';
import { type Change, type Outcome, readOutcome, requestCall } from '../../waypoint/filters/script/call.ts';
import { defaultLimits } from '../../waypoint/filters/script/limits.ts';
import { ScriptProcess } from '../../waypoint/filters/script/process.ts';
import { Script } from '../../waypoint/filters/script/script.ts';
import { Headers } from '../../waypoint/request/headers.ts';
import type { RequestView } from '../../waypoint/request/view.ts';
import { readArguments, UsageError } from '../arguments.ts';
import { filterTestOptions } from './options.ts';

interface Case {
  readonly name: string;
  readonly config?: unknown;
  readonly now?: number;
  readonly request?: {
    readonly method?: string;
    readonly authority?: string;
    readonly path?: string;
    readonly identity?: string;
    readonly headers?: Readonly<Record<string, string>>;
  };
  readonly expect?: {
    readonly headers?: Readonly<Record<string, string | null>>;
    readonly response?: Readonly<Record<string, string | null>>;
    readonly path?: string;
    readonly authority?: string;
    readonly reroute?: boolean;
    readonly status?: number;
    readonly body?: string;
    readonly error?: string;
  };
}

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('filter test', args, filterTestOptions);
  const [file, ...surplus] = positionals;
  if (file === undefined || surplus.length > 0)
    throw new UsageError('aquifer filter test takes one module; see aquifer filter test --help');
  const found = codeOf(read(file), file, '');
  if (found.kind === 'none') throw new MeshError('CONFIG', `${file}: ${found.problem}`);
  const casesFile = values.cases ?? file.replace(/\.[mc]?[tj]s$/, '.cases.yaml');
  let failed = 0;
  const cases = readCases(casesFile);
  for (const one of cases) {
    const wrong = await judge(found.code, one);
    if (wrong.length > 0) failed++;
    process.stdout.write(
      `${wrong.length === 0 ? 'ok    ' : 'FAILED'} ${one.name}\n${wrong.map((w) => `         ${w}\n`).join('')}`,
    );
  }
  process.stdout.write(`${cases.length - failed} of ${cases.length} cases are as expected\n`);
  return failed === 0 ? 0 : 1;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (e) {
    throw new MeshError('CONFIG', `${file} cannot be read: ${describeError(e)}`);
  }
}

function readCases(file: string): readonly Case[] {
  let cases: unknown;
  try {
    cases = parse(read(file));
  } catch (e) {
    if (e instanceof MeshError) throw e;
    throw new MeshError('CONFIG', `${file} is no YAML: ${describeError(e)}`);
  }
  const isCase = (one: unknown) =>
    typeof one === 'object' && one !== null && typeof (one as { readonly name?: unknown }).name === 'string';
  if (!Array.isArray(cases) || cases.length === 0 || !cases.every(isCase))
    throw new MeshError(
      'CONFIG',
      `${file}: expected a list of cases, each with a name; see aquifer filter test --help`,
    );
  return cases as readonly Case[];
}

/** What differs. */
async function judge(code: string, { config = {}, now, request = {}, expect = {} }: Case): Promise<readonly string[]> {
  const fixed = now === undefined ? '' : `Date.now = () => ${Number(now)};`;
  const view = viewOf(request);
  const { outcome, failure } = await outcomeOf(code, JSON.stringify(config), view, fixed);
  const wrong: string[] = [];
  const compare = (what: string, wanted: unknown, got: unknown) => {
    if (wanted !== got) wrong.push(`${what}: expected ${JSON.stringify(wanted)}, got ${JSON.stringify(got ?? null)}`);
  };
  const error = failure ?? outcome?.error;
  if (expect.error !== undefined) {
    if (!error?.includes(expect.error)) compare('error', expect.error, error);
  } else if (error !== undefined) wrong.push(`it failed: ${error}`);
  if (!outcome) return wrong;
  const [headers, response] = [view.headers.copy(), new Headers()];
  apply(headers, outcome.request);
  apply(response, outcome.response);
  for (const [name, value] of Object.entries(expect.headers ?? {}))
    compare(`headers.${name}`, value, headers.get(name) ?? null);
  for (const [name, value] of Object.entries(expect.response ?? {}))
    compare(`response.${name}`, value, response.get(name) ?? null);
  if (expect.path !== undefined) compare('path', expect.path, outcome.path ?? view.path);
  if (expect.authority !== undefined) compare('authority', expect.authority, outcome.authority ?? view.authority);
  if (expect.reroute !== undefined) compare('reroute', expect.reroute, outcome.reroute);
  if (expect.body !== undefined) compare('body', expect.body, outcome.answer?.body);
  if (expect.status !== undefined || outcome.answer) compare('status', expect.status, outcome.answer?.status);
  return wrong;
}

function apply(headers: Headers, changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.kind === 'remove') headers.remove(change.name);
    else headers[change.kind](change.name, change.value);
  }
}

function viewOf({
  method = 'GET',
  authority = 'web',
  path = '/',
  identity,
  headers = {},
}: NonNullable<Case['request']>): RequestView {
  const peer = { address: '127.0.0.1', port: 1 };
  const connection = {
    remote: peer,
    source: peer,
    directRemote: peer,
    local: peer,
    tls: false,
    filterState: new Map(),
  };
  return {
    method,
    scheme: 'http',
    authority,
    path,
    headers: Headers.of(Object.entries(headers).map(([name, value]) => [name, String(value)] as const)),
    protocol: 'http1',
    connection: { ...connection, ...(identity !== undefined && { principal: identity }) },
    metadata: new Map(),
  };
}

async function outcomeOf(
  code: string,
  config: string,
  view: RequestView,
  prefix: string,
): Promise<{ readonly outcome: Outcome | undefined; readonly failure: string | undefined }> {
  const script = new Script(
    { source: `${prefix}${code}`, config },
    {
      name: 'test',
      limits: defaultLimits,
      clock: systemClock,
      log: silentLogger,
      onDeath: () => undefined,
      run: (spec, limits, counters, events) => new ScriptProcess(spec, limits, counters, events),
    },
  );
  try {
    return await new Promise((resolve) => {
      script.call(requestCall(view, { cluster: undefined }), (result) =>
        resolve(
          result.kind === 'outcome'
            ? { outcome: readOutcome(result.raw), failure: undefined }
            : { outcome: undefined, failure: `${result.cause}: ${result.detail}` },
        ),
      );
    });
  } finally {
    script.close();
  }
}
