/** Headers added and removed by configuration: `request_headers_to_add` and its like, at every level of a route. */
import type { Fields } from '../../common/envoy/fields.ts';
import type { Headers } from '../request/headers.ts';
import { compileFormat, type Format, type FormatContext } from './format.ts';

const actions = {
  APPEND_IF_EXISTS_OR_ADD: 'append',
  ADD_IF_ABSENT: 'add-if-absent',
  OVERWRITE_IF_EXISTS_OR_ADD: 'overwrite',
  OVERWRITE_IF_EXISTS: 'overwrite-if-present',
} as const;

type Action = (typeof actions)[keyof typeof actions];

export interface HeaderAddition {
  readonly name: string;
  readonly format: Format;
  readonly action: Action;
  readonly keepsEmpty: boolean;
}

export interface HeaderOps {
  readonly add: readonly HeaderAddition[];
  readonly remove: readonly string[];
}

/** Reads `to_add` and `to_remove` of one level; undefined when it has neither. */
export function readHeaderOps(fields: Fields, toAdd: string, toRemove: string): HeaderOps | undefined {
  const add = fields.readAll(toAdd, readAddition);
  const remove = fields.texts(toRemove).map((name) => name.toLowerCase());
  for (const name of remove) {
    if (name.startsWith(':') || name === 'host') throw fields.refusal(toRemove, `${name} may not be removed`);
  }
  return add.length === 0 && remove.length === 0 ? undefined : { add, remove };
}

/** Reads an envoy.config.core.v3.HeaderValueOption. */
export function readAddition(fields: Fields): HeaderAddition {
  const header = fields.required('header', (f) => {
    const name = f.text('key').toLowerCase();
    if (name === '' || name.startsWith(':') || name === 'host') {
      throw f.refusal('key', `${JSON.stringify(name)} may not be set this way`);
    }
    // Headers are the wire's bytes as latin1, and texts of the configuration Unicode.
    const raw = (f.has('raw_value') ? f.bytes('raw_value') : Buffer.from(f.text('value'))).toString('latin1');
    try {
      return { name, format: compileFormat(raw) };
    } catch (e) {
      throw f.refusal('value', (e as Error).message);
    }
  });
  const append = fields.wrappedFlag('append');
  const action = fields.choice('append_action', 'APPEND_IF_EXISTS_OR_ADD', actions) ?? 'append';
  return {
    ...header,
    action: append === false ? 'overwrite' : action,
    keepsEmpty: fields.flag('keep_empty_value'),
  };
}

/** Applies one level. All values are made from what was there before the first was changed. */
export function applyHeaderOps(ops: HeaderOps, headers: Headers, context: FormatContext): void {
  for (const name of ops.remove) headers.remove(name);
  if (ops.add.length === 0) return;
  const overwrite: [string, string][] = [];
  const append: [string, string][] = [];
  for (const { name, format, action, keepsEmpty } of ops.add) {
    const value = format.render(context, '');
    if (value === '' && !keepsEmpty) continue;
    switch (action) {
      case 'append':
        append.push([name, value]);
        break;
      case 'add-if-absent':
        if (!headers.has(name)) append.push([name, value]);
        break;
      case 'overwrite-if-present':
        if (headers.has(name)) overwrite.push([name, value]);
        break;
      case 'overwrite':
        overwrite.push([name, value]);
        break;
    }
  }
  for (const [name, value] of overwrite) headers.set(name, value);
  for (const [name, value] of append) {
    const before = singles.has(name) ? headers.get(name) : undefined;
    if (before === undefined) headers.append(name, value);
    else if (before === '') headers.set(name, value);
    else if (value !== '') headers.set(name, `${before},${value}`);
  }
}

/** Headers that Envoy keeps in one line: what is added to one goes behind a comma, and nothing adds nothing. */
const singles: ReadonlySet<string> = new Set([
  ...['connection', 'content-type', 'expect', 'grpc-timeout', 'te', 'upgrade', 'user-agent', 'via', 'x-request-id'],
  ...['x-forwarded-client-cert', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-proto'],
  ...['x-client-trace-id', 'x-envoy-external-address', 'x-envoy-internal', 'x-envoy-original-host'],
  ...['x-envoy-original-path', 'x-envoy-attempt-count', 'date', 'grpc-message', 'grpc-status', 'proxy-status'],
]);
