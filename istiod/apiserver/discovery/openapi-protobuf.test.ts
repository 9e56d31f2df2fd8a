/** OpenAPI version 2 in protobuf, read back by field numbers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import protobuf from 'protobufjs';
import { list, object, string } from '../../../common/kube/schema/types.ts';
import { encodeOpenApiV2 } from './openapi-protobuf.ts';
import { forVersion2 } from './version2.ts';

const { Document } = protobuf.parse(`
  syntax = "proto3";
  message Document { string swagger = 1; Info info = 2; Paths paths = 8; Definitions definitions = 9; }
  message Info { string title = 1; string version = 2; }
  message Paths { repeated NamedPathItem path = 2; }
  message NamedPathItem { string name = 1; PathItem value = 2; }
  message PathItem { Operation get = 2; Operation patch = 7; }
  message Operation { repeated ParametersItem parameters = 8; Responses responses = 9; repeated NamedAny extension = 13; }
  message ParametersItem { Parameter parameter = 1; }
  message Parameter { NonBody non_body = 2; }
  message NonBody { Query query = 3; }
  message Query { string in = 2; string name = 4; string type = 6; bool unique = 20; }
  message Responses { repeated NamedResponse code = 1; }
  message NamedResponse { string name = 1; ResponseValue value = 2; }
  message ResponseValue { Response response = 1; }
  message Response { string description = 1; SchemaItem schema = 2; }
  message SchemaItem { Schema schema = 1; }
  message Definitions { repeated NamedSchema all = 1; }
  message NamedSchema { string name = 1; Schema value = 2; }
  message NamedAny { string name = 1; Any value = 2; }
  message Any { string yaml = 2; }
  message Texts { repeated string value = 1; }
  message Items { repeated Schema schema = 1; }
  message Rest { Schema schema = 1; }
  message Properties { repeated NamedSchema all = 1; }
  message Schema {
    string ref = 1; string format = 2; string description = 4; Any default = 5; double maximum = 7; int64 max_length = 11;
    repeated string required = 19; repeated Any enum = 20; Rest rest = 21; Texts type = 22; Items items = 23;
    Properties properties = 25; repeated NamedAny extension = 31;
  }`).root as unknown as { readonly Document: protobuf.Type };

describe('OpenAPI version 2 in protobuf', () => {
  test('paths tell kinds and parameters; schemas their structure and extensions', () => {
    const gvk = { group: '', version: 'v1', kind: 'Pod' };
    const bytes = encodeOpenApiV2({
      swagger: '2.0',
      info: { title: 't', version: 'v' },
      paths: {
        '/p': {
          patch: {
            parameters: [{ name: 'dryRun', in: 'query', type: 'string', uniqueItems: true }],
            responses: { 200: { description: 'OK', schema: { $ref: '#/definitions/Pod' } } },
            'x-kubernetes-group-version-kind': gvk,
          },
        },
      },
      definitions: {
        Pod: {
          type: 'object',
          required: ['a'],
          properties: {
            a: { type: 'array', items: { type: 'integer', maximum: 0.5 }, 'x-kubernetes-list-type': 'set' },
            b: { type: 'object', additionalProperties: { type: 'string', enum: ['x', 'y'], maxLength: 3 } },
            c: { type: 'boolean', default: false, description: 'é' },
          },
        },
      },
    });
    assert.deepEqual(Document.toObject(Document.decode(bytes), { longs: Number }), {
      swagger: '2.0',
      info: { title: 't', version: 'v' },
      paths: {
        path: [
          {
            name: '/p',
            value: {
              patch: {
                parameters: [
                  { parameter: { nonBody: { query: { in: 'query', name: 'dryRun', type: 'string', unique: true } } } },
                ],
                responses: {
                  code: [
                    {
                      name: '200',
                      value: { response: { description: 'OK', schema: { schema: { ref: '#/definitions/Pod' } } } },
                    },
                  ],
                },
                extension: [{ name: 'x-kubernetes-group-version-kind', value: { yaml: JSON.stringify(gvk) } }],
              },
            },
          },
        ],
      },
      definitions: {
        all: [
          {
            name: 'Pod',
            value: {
              required: ['a'],
              type: { value: ['object'] },
              properties: {
                all: [
                  {
                    name: 'a',
                    value: {
                      type: { value: ['array'] },
                      items: { schema: [{ maximum: 0.5, type: { value: ['integer'] } }] },
                      extension: [{ name: 'x-kubernetes-list-type', value: { yaml: '"set"' } }],
                    },
                  },
                  {
                    name: 'b',
                    value: {
                      rest: {
                        schema: {
                          maxLength: 3,
                          enum: [{ yaml: '"x"' }, { yaml: '"y"' }],
                          type: { value: ['string'] },
                        },
                      },
                      type: { value: ['object'] },
                    },
                  },
                  {
                    name: 'c',
                    value: { description: 'é', default: { yaml: 'false' }, type: { value: ['boolean'] } },
                  },
                ],
              },
            },
          },
        ],
      },
    });
  });

  test('what version 2 would refuse has no type, and no alternatives are named', () => {
    const open = { type: 'object', properties: { a: string() }, 'x-kubernetes-preserve-unknown-fields': true } as const;
    const schema = object({
      open,
      nothing: { ...string(), nullable: true, description: 'd' },
      some: list({ ...open }),
      one: { ...string(), oneOf: [{ enum: ['a'] }] },
    });
    const any = { 'x-kubernetes-preserve-unknown-fields': true };
    assert.deepEqual(forVersion2(schema), {
      type: 'object',
      properties: {
        open: any,
        nothing: { ...any, description: 'd' },
        some: { type: 'array', items: any },
        one: { type: 'string' },
      },
    });
  });
});
