/** Bodies to values: JSON and YAML; protobuf of built-in kinds (codec/protobuf). */
import { createRequire } from 'node:module';
import { describeError } from '../../../common/core/errors.ts';
import { goYaml } from '../../../common/kube/manifests/go-yaml.ts';
import { decodeProtobuf } from '../codec/protobuf/decode.ts';
import { protobufType } from '../codec/protobuf/wire.ts';
import { badRequest, unsupportedMediaType } from '../status.ts';
import { duplicateMembers } from './duplicates.ts';

/** Objects nest some 30 deep; what goes deeper is meant to exhaust a stack. */
const depthLimit = 256;

const bodyTypes = ['application/json', 'application/yaml', protobufType];

/** Hears of each member of JSON that is there twice, as a path; the last one counts. YAML refuses them. */
export type OnDuplicate = (path: string) => void;

/** ApiError 400, 415. */
export function decodeBody(contentType: string, body: Buffer, onDuplicate?: OnDuplicate): unknown {
  switch (mediaType(contentType)) {
    case '':
    case 'application/json':
    case 'text/json':
      return decodeJson(body, onDuplicate);
    case 'application/yaml':
    case 'text/yaml':
    case 'application/x-yaml':
      return decodeYaml(body, onDuplicate);
    case protobufType:
      return decodeProtobuf(body);
    default:
      throw unsupportedMediaType(contentType, bodyTypes);
  }
}

/** Without parameters, in lower case. */
export function mediaType(header: string): string {
  return header.split(';', 1)[0]!.trim().toLowerCase();
}

export function decodeJson(body: Buffer, onDuplicate?: OnDuplicate): unknown {
  const members = checkDepth(body);
  const text = body.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (e) {
    throw badRequest(`the body is not JSON: ${describeError(e)}`);
  }
  checkNames(text, value);
  if (onDuplicate !== undefined && members !== countMembers(value)) duplicateMembers(text).forEach(onDuplicate);
  return value;
}

export function decodeYaml(body: Buffer, onDuplicate?: OnDuplicate): unknown {
  // JSON is YAML, what most clients send as such, and read much faster.
  if (body[0] === 0x7b) {
    try {
      return decodeJson(body, onDuplicate);
    } catch {
      // Then it may be a flow mapping; what is wrong with both is said below.
    }
  }
  const text = body.toString('utf8');
  let value: unknown;
  let json: string;
  try {
    const document = yaml().parseDocument(text, goYaml);
    if (document.errors.length > 0) throw document.errors[0];
    value = document.toJS({ maxAliasCount: 100 });
    // Anchors can make a small text deep, or endless, which has no JSON.
    json = JSON.stringify(value) ?? '';
  } catch (e) {
    throw badRequest(`the body is not YAML: ${describeError(e)}`);
  }
  checkDepth(Buffer.from(json));
  checkNames(text, value);
  return value;
}

/** Loaded only for who sends it: it is some 40 ms of the start. */
function yaml(): typeof import('yaml') {
  return createRequire(import.meta.url)('yaml');
}

/** Counts brackets outside of strings, before anything recurses over the value. Returns the number of colons there. */
function checkDepth(json: Buffer): number {
  let depth = 0;
  let colons = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (inString) {
      if (c === 0x5c) i++;
      else if (c === 0x22) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > depthLimit) throw badRequest(`the body nests deeper than ${depthLimit} levels`);
    } else if (c === 0x7d || c === 0x5d) depth--;
    else if (c === 0x3a) colons++;
  }
  return colons;
}

function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let members = 0;
  if (Array.isArray(value)) for (const item of value) members += countMembers(item);
  else {
    for (const name in value) members += 1 + countMembers((value as Record<string, unknown>)[name]);
  }
  return members;
}

/** A member `__proto__` would change what every other member means once an object is copied. */
function checkNames(text: string, value: unknown): void {
  if (/__proto__|\\u/i.test(text) && hasProto(value)) throw badRequest('no field can have the name "__proto__"');
}

function hasProto(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Object.hasOwn(value, '__proto__')) return true;
  return Object.values(value).some(hasProto);
}
