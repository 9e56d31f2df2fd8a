/** What the maker of an object owns: all of it. The same as a comparison with nothing, in one pass, since every creation asks it. */
import type { Schema } from '../../../../common/kube/schema/types.ts';
import { isObject } from '../../../../common/kube/schema/validate.ts';
import { memberSchema } from '../members.ts';
import { isServerField } from './managers.ts';
import { itemSteps } from './steps.ts';

type Fields = Record<string, unknown>;

/** FieldsV1. `skipStatus`: the status is not the maker's to set. */
export function createdFields(schema: Schema, object: Readonly<Fields>, skipStatus: boolean): Fields {
  const fields: Fields = {};
  for (const [name, value] of Object.entries(object)) {
    if (name === 'apiVersion' || name === 'kind' || value === undefined || (skipStatus && name === 'status')) continue;
    if (name !== 'metadata') {
      fields[fieldStep(name)] = fieldsOf(memberSchema(schema, name), value);
      continue;
    }
    const own = memberSchema(schema, name);
    const metadata: Fields = {};
    for (const [field, inside] of Object.entries(value as Fields)) {
      if (isServerField(field) || inside === undefined) continue;
      metadata[fieldStep(field)] = fieldsOf(memberSchema(own, field), inside);
    }
    if (Object.keys(metadata).length > 0) fields['f:metadata'] = metadata;
  }
  return fields;
}

function fieldsOf(schema: Schema | undefined, value: unknown): Fields {
  if (isObject(value)) return membersOf(schema, value);
  if (!Array.isArray(value) || schema?.type !== 'array' || value.length === 0) return {};
  const steps = itemSteps(schema, value);
  if (steps.kind !== 'items') return {};
  const fields: Fields = { '.': {} };
  steps.steps.forEach((step, i) => {
    // Items that repeat their keys are owned as one.
    fields[step] = Object.hasOwn(fields, step) ? {} : fieldsOf(schema.items, value[i]);
  });
  return fields;
}

function membersOf(schema: Schema | undefined, value: Readonly<Fields>): Fields {
  if (schema?.type === 'object' && schema['x-kubernetes-map-type'] === 'atomic') return {};
  const fields: Fields = {};
  let empty = true;
  for (const name in value) {
    const member = value[name];
    if (member === undefined) continue;
    if (empty) fields['.'] = {};
    empty = false;
    fields[fieldStep(name)] = typeof member === 'object' ? fieldsOf(memberSchema(schema, name), member) : {};
  }
  return fields;
}

/** `f:NAME`. Making the text anew for each field of each object costs more than all else here. */
const steps = new Map<string, string>();
const remembered = 10_000;

function fieldStep(name: string): string {
  let step = steps.get(name);
  if (step === undefined) {
    step = `f:${name}`;
    if (steps.size >= remembered) steps.clear();
    steps.set(name, step);
  }
  return step;
}
