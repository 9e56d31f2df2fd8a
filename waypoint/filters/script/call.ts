/** What a module is told of a request, and what it may answer: checked here again, since nothing that comes from its process is trusted. */
import type { RequestView, ResponseView } from '../../request/view.ts';
import type { FilterContext } from '../filter.ts';
import { mostChanges, mostLines, mostMetrics } from './limits.ts';

export type Change =
  | { readonly kind: 'set' | 'append'; readonly name: string; readonly value: string }
  | { readonly kind: 'remove'; readonly name: string };

export interface Outcome {
  readonly request: readonly Change[];
  readonly response: readonly Change[];
  readonly authority: string | undefined;
  readonly path: string | undefined;
  readonly reroute: boolean;
  readonly answer:
    | { readonly status: number; readonly headers: readonly (readonly [string, string])[]; readonly body: string }
    | undefined;
  /** What it threw. */
  readonly error: string | undefined;
  readonly metrics: readonly Metric[];
  readonly lines: readonly (readonly [level: 'info' | 'warn' | 'error', text: string])[];
}

export interface Metric {
  readonly name: string;
  readonly labels: readonly (readonly [string, string])[];
  readonly n: number;
}

export function requestCall(view: RequestView, { cluster }: Pick<FilterContext, 'cluster'>): string {
  const { connection, metadata } = view;
  const claims = metadata.get('envoy.filters.http.jwt_authn')?.['payload'];
  return JSON.stringify([
    0,
    view.method,
    view.scheme,
    view.authority,
    view.path,
    lowerNames(view.headers.toRaw()),
    connection.principal ?? null,
    connection.remote.address,
    connection.remote.port,
    cluster ?? null,
    claims ?? null,
  ]);
}

export function responseCall({ method, authority, path }: RequestView, { status, headers }: ResponseView): string {
  return JSON.stringify([1, status, lowerNames(headers.toRaw()), method, authority, path]);
}

function lowerNames(fields: string[]): string[] {
  for (let i = 0; i < fields.length; i += 2) fields[i] = fields[i]!.toLowerCase();
  return fields;
}

/** What frames messages or belongs to the connection is not for modules. */
const kept = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const token = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const printable = /^[\t\x20-\x7e\x80-\xff]*$/;
const authorities = /^[A-Za-z0-9._~%!$&'()*+,;=:[\]-]+$/;
const targets = /^\/[\x21-\x7e]*$/;
const metricName = /^[a-z_][a-z0-9_]*$/;

const quiet = {
  request: [],
  response: [],
  authority: undefined,
  path: undefined,
  reroute: false,
  answer: undefined,
  error: undefined,
  metrics: [],
  lines: [],
} satisfies Outcome;

/** Never throws; what is not as it has to be becomes `error`. */
export function readOutcome(raw: unknown): Outcome {
  const failed = (error: string): Outcome => ({ ...quiet, error });
  if (typeof raw !== 'object' || raw === null) return failed('its outcome is no object');
  const { h, r, a, p, n, x, e, m, l } = raw as Readonly<Record<string, unknown>>;
  try {
    return {
      request: h === undefined ? quiet.request : changes(h),
      response: r === undefined ? quiet.response : changes(r),
      authority: a === undefined ? undefined : matched(a, authorities, 'authority'),
      path: p === undefined ? undefined : matched(p, targets, 'path'),
      reroute: n !== undefined,
      answer: x === undefined ? undefined : answer(x),
      error: e === undefined ? undefined : String(e).slice(0, 500),
      metrics: m === undefined ? quiet.metrics : listOf(m, mostMetrics).map(metric),
      lines: l === undefined ? quiet.lines : listOf(l, mostLines).map(line),
    };
  } catch (bad) {
    return failed(bad instanceof Bad ? bad.message : 'its outcome is not as it has to be');
  }
}

class Bad extends Error {}

function listOf(value: unknown, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > most)
    throw new Bad('its outcome is no list, or a longer one than it may be');
  return value;
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new Bad('its outcome has no text where one has to be');
  return value;
}

function matched(value: unknown, form: RegExp, what: string): string {
  const text = textOf(value);
  if (!form.test(text))
    throw new Bad(`${what}: ${JSON.stringify(text.slice(0, 80))} has characters that it may not have`);
  return text;
}

function nameOf(value: unknown): string {
  const name = matched(value, token, 'the name of a header');
  if (kept.has(name)) throw new Bad(`header ${name} may not be changed: it frames messages`);
  return name;
}

function changes(value: unknown): readonly Change[] {
  return listOf(value, mostChanges).map((change) => {
    const [kind, name, text] = listOf(change, 3);
    if (kind === 'remove') return { kind, name: nameOf(name) };
    if (kind !== 'set' && kind !== 'append') throw new Bad('its outcome has an unknown change');
    return { kind, name: nameOf(name), value: matched(text, printable, `header ${String(name)}`) };
  });
}

function answer(value: unknown): Outcome['answer'] {
  const [status, headers, body] = listOf(value, 3);
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 599)
    throw new Bad(`the answer's status ${String(status)} is not within 200 and 599`);
  const fields = listOf(headers, mostChanges).map((field) => {
    const [name, text] = listOf(field, 2);
    return [nameOf(name), matched(text, printable, `header ${String(name)}`)] as const;
  });
  return { status, headers: fields, body: textOf(body) };
}

function metric(value: unknown): Metric {
  const [name, labels, n] = listOf(value, 3);
  if (typeof n !== 'number' || !(n >= 0) || !Number.isFinite(n)) throw new Bad('a metric has no number');
  const pairs = listOf(labels, 10).map((pair) => {
    const [label, text] = listOf(pair, 2);
    return [matched(label, metricName, 'a label'), textOf(text)] as const;
  });
  return { name: matched(name, metricName, 'a metric'), labels: pairs, n };
}

function line(value: unknown): Outcome['lines'][number] {
  const [level, text] = listOf(value, 2);
  if (level !== 'info' && level !== 'warn' && level !== 'error') throw new Bad('a line of log has no level');
  return [level, textOf(text)];
}
