import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Field, Message, Scalar, ShapeType } from '../../shapes/notation.ts';
import { allKinds } from '../../shapes/shapes.ts';
import { ApiError } from '../../status.ts';
import { decodeProtobuf } from './decode.ts';
import { encodeProtobuf } from './encode.ts';

/** Values that JSON and protobuf both can say: no zero where Go leaves zeros out. */
function anyOf(type: ShapeType, mayBeZero: boolean, depth: number): fc.Arbitrary<unknown> {
  switch (type.kind) {
    case 'scalar':
      return type.values === undefined ? scalarOf(type.scalar, mayBeZero) : fc.constantFrom(...type.values);
    case 'message':
      return objectOf(type.message, depth + 1, mayBeZero);
    case 'either': {
      const schema = objectOf(type.message, depth + 1, true);
      if (type.or === 'bool') return fc.oneof(fc.boolean(), schema);
      const item: fc.Arbitrary<unknown> = type.or === 'list' ? schema : scalarOf('string', true);
      return fc.oneof(schema, fc.array(item, { maxLength: 2 }));
    }
    case 'list':
      return fc.array(anyOf(type.of, true, depth + 1), { minLength: 1, maxLength: 2 });
    case 'map':
      return fc.dictionary(fc.stringMatching(/^[a-z./]{1,8}$/), anyOf(type.of, true, depth + 1), {
        minKeys: 1,
        maxKeys: 2,
        noNullPrototype: true,
      });
  }
}

function scalarOf(scalar: Scalar, mayBeZero: boolean): fc.Arbitrary<unknown> {
  const text = fc.string({ minLength: mayBeZero ? 0 : 1, maxLength: 8, unit: 'grapheme' });
  const int = fc
    .oneof(fc.integer(), fc.maxSafeInteger())
    .filter((n) => mayBeZero || n !== 0)
    .map((n) => n + 0);
  switch (scalar) {
    case 'string':
      return text;
    case 'bool':
      return mayBeZero ? fc.boolean() : fc.constant(true);
    case 'int':
      return int;
    case 'double':
      return fc.double({ noNaN: true, min: 1, max: 9 });
    case 'bytes':
      return fc.uint8Array({ minLength: 1, maxLength: 9 }).map((b) => Buffer.from(b).toString('base64'));
    case 'time':
      return fc.integer({ min: -1e9, max: 4e9 }).map((s) => `${new Date(s * 1000).toISOString().slice(0, 19)}Z`);
    case 'microtime':
      return fc
        .tuple(fc.integer({ min: 0, max: 4e9 }), fc.integer({ min: 0, max: 999_999 }))
        .map(([s, us]) => `${new Date(s * 1000).toISOString().slice(0, 19)}.${String(us).padStart(6, '0')}Z`);
    case 'quantity':
      return fc.constantFrom('0', '100m', '1Gi', '2');
    case 'intstr':
      return fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom('http', '25%'));
    case 'json':
      return fc.constantFrom({ 'f:spec': { 'f:replicas': {} } }, { a: [1, 'x', null] });
    case 'strings':
      return fc.array(text, { minLength: 1, maxLength: 2 });
  }
}

/** `depth`: deeper than a few levels only what must be there. */
function objectOf(message: Message, depth: number, mayBeEmpty: boolean): fc.Arbitrary<Record<string, unknown>> {
  const members: fc.Arbitrary<Record<string, unknown>>[] = message.fields.map((field) => memberOf(field, depth));
  const object = members.length === 0 ? fc.constant({}) : fc.tuple(...members).map((all) => Object.assign({}, ...all));
  return mayBeEmpty ? object : object.filter((o) => Object.keys(o).length > 0);
}

function memberOf(field: Field, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const { name, type, pointer, required } = field;
  if (name === '' && type.kind === 'message') return objectOf(type.message, depth, true);
  const present = () => anyOf(type, pointer || required, depth).map((value) => ({ [name]: value }));
  // Go has no required pointers that are absent: these are scalars.
  if (required && !pointer && type.kind === 'scalar') return present();
  if (depth > 3 && type.kind !== 'scalar') return fc.constant({});
  // Laziness keeps shapes that nest deeply from being built whole.
  return fc.boolean().chain((is) => (is && !isEmptyAtDepth(field, depth) ? present() : fc.constant({})));
}

/** Nothing could be in it at this depth, and an empty one is not sent. */
function isEmptyAtDepth({ type, pointer, required }: Field, depth: number): boolean {
  if (type.kind !== 'message' || pointer || required) return false;
  return !type.message.fields.some((f) => f.type.kind === 'scalar') || depth > 2;
}

for (const { apiVersion, kind, shape } of allKinds()) {
  test(`${kind} of ${apiVersion} comes back from protobuf as it was`, () => {
    const object = objectOf(shape, 0, true).map((fields) => ({ apiVersion, kind, ...fields }));
    fc.assert(
      fc.property(object, (o) => {
        assert.deepEqual(decodeProtobuf(encodeProtobuf(o)), o);
      }),
      { numRuns: 15 },
    );
  });
}

test('whatever the bytes are, they are an object or a bad request', () => {
  const kinds = [...allKinds()].map(({ apiVersion, kind }) => ({ apiVersion, kind }));
  fc.assert(
    fc.property(
      fc.constantFrom(...kinds),
      fc.uint8Array({ maxLength: 60 }),
      fc.nat(200),
      ({ apiVersion, kind }, noise, at) => {
        const good = encodeProtobuf({ apiVersion, kind, metadata: { name: 'x', labels: { a: 'b' } } });
        const bad = Buffer.concat([good.subarray(0, at), noise]);
        try {
          decodeProtobuf(bad);
        } catch (e) {
          assert.ok(e instanceof ApiError, String(e));
          assert.ok([400, 415].includes(e.status.code));
        }
      },
    ),
    { numRuns: 500 },
  );
});
