/** What a client sent as an object of a resource: its header checked, unknown fields judged, defaults filled in. */
import { applyDefaults } from '../../../common/kube/schema/defaults.ts';
import { pruneUnknown } from '../../../common/kube/schema/prune.ts';
import type { Schema } from '../../../common/kube/schema/types.ts';
import { formatPath, isObject, type Path } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import { itemSteps, pathText } from '../patch/apply/steps.ts';
import { memberSchema } from '../patch/members.ts';
import { apiVersionOf, type Resource } from '../resources/resource.ts';
import { badRequest } from '../status.ts';
import type { FieldValidation } from './options.ts';

export interface Place {
  readonly resource: Resource;
  /** Of the path; empty for cluster-scoped objects. */
  readonly namespace: string;
  /** Of the path; empty at a creation. */
  readonly name: string;
}

/** ApiError 400. The object is the caller's to change. */
export function acceptObject(
  value: unknown,
  place: Place,
  judge: FieldValidation,
  warn: (text: string) => void,
): ApiObject {
  const object = withoutUnknown(value, place, judge, warn);
  applyDefaults(place.resource.schema, object);
  place.resource.strategy.fillIn?.(object);
  return object;
}

/** What a manager applies: only what it says, without defaults. ApiError 400. */
export function acceptConfig(
  value: unknown,
  place: Place,
  judge: FieldValidation,
  warn: (text: string) => void,
): ApiObject {
  const config = withoutUnknown(value, place, judge, warn);
  if (config.metadata.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
  checkItems(place.resource.schema, config, []);
  return config;
}

function withoutUnknown(value: unknown, place: Place, judge: FieldValidation, warn: (text: string) => void): ApiObject {
  const { resource } = place;
  if (!isObject(value)) throw badRequest('the body is not an object');
  checkHeader(value, resource);
  const { apiVersion: _version, kind: _kind, metadata, ...rest } = value;
  if (metadata !== undefined && metadata !== null && !isObject(metadata)) throw badRequest('metadata is not an object');
  // Names are read before an object is checked as a whole.
  for (const field of ['name', 'generateName', 'namespace']) {
    const text = metadata?.[field] ?? '';
    if (typeof text !== 'string') throw badRequest(`metadata.${field} is not a text`);
  }
  const object: ApiObject = {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    metadata: { ...metadata },
    ...rest,
  };
  checkPlace(object, place);
  const unknown = pruneUnknown(resource.schema, object).map(
    (path) => `unknown field ${JSON.stringify(formatPath(path))}`,
  );
  reportMistakes(unknown, judge, warn);
  return object;
}

/** ApiError 400 where the client wants strictness. */
export function reportMistakes(
  mistakes: readonly string[],
  judge: FieldValidation,
  warn: (text: string) => void,
): void {
  if (mistakes.length > 0 && judge === 'Strict') throw badRequest(`strict decoding error: ${mistakes.join(', ')}`);
  if (judge === 'Warn') for (const text of mistakes) warn(text);
}

/** Items that nobody can tell apart cannot be owned one by one. */
function checkItems(schema: Schema | undefined, value: unknown, path: Path): void {
  if (isObject(value)) {
    for (const [name, member] of Object.entries(value)) checkItems(memberSchema(schema, name), member, [...path, name]);
  } else if (Array.isArray(value) && schema?.type === 'array') {
    const steps = itemSteps(schema, value);
    if (steps.kind === 'bad') throw badRequest(`${formatPath([...path, steps.index])}: ${steps.reason}`);
    const seen = new Set<string>();
    for (const [i, step] of (steps.kind === 'items' ? steps.steps : []).entries()) {
      if (seen.has(step))
        throw badRequest(`${formatPath([...path, i])}: duplicate entries for key ${pathText([step])}`);
      seen.add(step);
    }
    value.forEach((item, i) => void checkItems(schema.items, item, [...path, i]));
  }
}

function checkHeader(value: Readonly<Record<string, unknown>>, resource: Resource): void {
  const expected = { apiVersion: apiVersionOf(resource), kind: resource.kind };
  for (const field of ['apiVersion', 'kind'] as const) {
    const found = value[field];
    if (found === undefined || found === '') continue;
    if (found !== expected[field]) {
      throw badRequest(
        `${field} of the body is ${JSON.stringify(found)}, and the path wants ${JSON.stringify(expected[field])}`,
      );
    }
  }
}

function checkPlace({ metadata }: ApiObject, { resource, namespace, name }: Place): void {
  if (resource.namespaced) {
    if ((metadata.namespace ?? '') === '') metadata.namespace = namespace;
    else if (metadata.namespace !== namespace) {
      throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
    }
  } else delete metadata.namespace;
  if (name === '') return;
  if ((metadata.name ?? '') === '') metadata.name = name;
  else if (metadata.name !== name) {
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  }
}
