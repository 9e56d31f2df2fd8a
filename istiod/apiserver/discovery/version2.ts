/** What OpenAPI version 2 cannot say of a schema, left out, so that clients that check by it refuse nothing that is right. Pure. */
import type { Schema } from '../../../common/kube/schema/types.ts';

export function forVersion2(schema: Schema): Schema {
  const { allOf: _allOf, anyOf: _anyOf, oneOf: _oneOf, not: _not, ...said } = schema;
  const rest = said as Schema;
  // Unknown fields and null would be refused by whoever reads of a type.
  if (rest['x-kubernetes-preserve-unknown-fields' as keyof Schema] === true || rest.nullable === true)
    return { 'x-kubernetes-preserve-unknown-fields': true, ...described(rest) };
  if (rest.type === 'array') return { ...rest, items: forVersion2(rest.items) };
  if (rest.type !== 'object') return rest;
  return {
    ...rest,
    ...(rest.additionalProperties === undefined
      ? {}
      : { additionalProperties: forVersion2(rest.additionalProperties) }),
    ...(rest.properties === undefined
      ? {}
      : { properties: Object.fromEntries(Object.entries(rest.properties).map(([k, v]) => [k, forVersion2(v)])) }),
  };
}

function described({ description }: Schema): { readonly description?: string } {
  return description === undefined ? {} : { description };
}
