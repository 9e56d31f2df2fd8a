/** JSON patch (RFC 6902) over JSON pointers (RFC 6901). */
import { isSameJson } from '../../../common/core/same-json.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';

/** What is wrong with a patch, or with applying it to this object; the text is for the client. */
export class PatchError extends Error {}

const operationLimit = 10_000;
/** Characters of JSON; copies could grow an object without end. */
const sizeLimit = 3 * 1024 * 1024;

/** Returns the new value; `document` is not changed. PatchError. */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new PatchError('a JSON patch is a list of operations');
  if (patch.length > operationLimit) throw new PatchError(`more than ${operationLimit} operations`);
  let result = structuredClone(document);
  let copied = 0;
  for (const [i, operation] of patch.entries()) {
    if (!isObject(operation)) throw new PatchError(`operation ${i} is not an object`);
    const copy = operation['op'] === 'copy' || operation['op'] === 'move';
    if (copy) copied += JSON.stringify(find(result, pointer(operation, 'from'))).length;
    if (copied > sizeLimit) throw new PatchError(`the patch copies more than ${sizeLimit} characters`);
    result = applyOne(result, operation);
  }
  return result;
}

function applyOne(document: unknown, operation: Readonly<Record<string, unknown>>): unknown {
  const path = pointer(operation, 'path');
  switch (operation['op']) {
    case 'add':
      return insert(document, path, structuredClone(given(operation)));
    case 'replace':
      find(document, path);
      return insert(path.length === 0 ? document : remove(document, path), path, structuredClone(given(operation)));
    case 'remove':
      return remove(document, path);
    case 'test':
      if (!isSameJson(find(document, path), given(operation))) {
        throw new PatchError(`testing value ${operation['path']} failed`);
      }
      return document;
    case 'copy':
      return insert(document, path, structuredClone(find(document, pointer(operation, 'from'))));
    case 'move': {
      const from = pointer(operation, 'from');
      const value = find(document, from);
      return insert(remove(document, from), path, value);
    }
    default:
      throw new PatchError(`${JSON.stringify(operation['op'])} is not an operation of a JSON patch`);
  }
}

function given(operation: Readonly<Record<string, unknown>>): unknown {
  if (!Object.hasOwn(operation, 'value')) throw new PatchError(`${operation['op']} needs a value`);
  return operation['value'];
}

function pointer(operation: Readonly<Record<string, unknown>>, field: 'path' | 'from'): readonly string[] {
  const text = operation[field];
  if (typeof text !== 'string' || (text !== '' && !text.startsWith('/'))) {
    throw new PatchError(`${field} ${JSON.stringify(text)} is not a JSON pointer`);
  }
  const tokens = text
    .split('/')
    .slice(1)
    .map((t) => t.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (tokens.includes('__proto__')) throw new PatchError('no field can have the name "__proto__"');
  return tokens;
}

function find(document: unknown, path: readonly string[]): unknown {
  let value = document;
  for (const token of path) {
    const list = Array.isArray(value);
    const present = list
      ? indexIn(token, value as unknown[]) !== undefined
      : isObject(value) && Object.hasOwn(value, token);
    if (!present) throw missing(path);
    value = (value as Record<string, unknown>)[token];
  }
  return value;
}

function insert(document: unknown, path: readonly string[], value: unknown): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = find(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : last === String(parent.length) ? parent.length : indexIn(last, parent);
    if (index === undefined) throw missing(path);
    parent.splice(index, 0, value);
  } else if (isObject(parent)) parent[last] = value;
  else throw missing(path);
  return document;
}

function remove(document: unknown, path: readonly string[]): unknown {
  find(document, path);
  const last = path.at(-1);
  if (last === undefined) throw new PatchError('the whole object cannot be removed');
  const parent = find(document, path.slice(0, -1));
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete (parent as Record<string, unknown>)[last];
  return document;
}

/** undefined: no item of the list. */
function indexIn(token: string, list: readonly unknown[]): number | undefined {
  if (!/^(0|[1-9]\d{0,9})$/.test(token)) return undefined;
  const index = Number(token);
  return index < list.length ? index : undefined;
}

function missing(path: readonly string[]): PatchError {
  return new PatchError(`the path /${path.join('/')} does not exist in the object`);
}
