/** The methods of a descriptor set and how HTTP names them: google.api.http, or the path of gRPC where mapped by itself. */
import protobuf from 'protobufjs';
import 'protobufjs/ext/descriptor.js';
import { envoyProtos } from '../../../common/envoy/protos.ts';
import { parseTemplate, type Template } from './template.ts';

export interface Method {
  readonly root: protobuf.Root;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly input: protobuf.Type;
  readonly output: protobuf.Type;
  readonly clientStreams: boolean;
  readonly serverStreams: boolean;
}

/** One way in. */
export interface Way {
  readonly method: Method;
  /** `*`: any. */
  readonly httpMethod: string;
  readonly template: Template;
  /** The field that the body is; `all`: the whole message; absent: a body is not looked at. */
  readonly body: readonly protobuf.Field[] | 'all' | undefined;
}

interface Rule {
  readonly get?: string;
  readonly put?: string;
  readonly post?: string;
  readonly delete?: string;
  readonly patch?: string;
  readonly custom?: { readonly kind?: string; readonly path?: string };
  readonly body?: string;
  readonly response_body?: string;
  readonly additional_bindings?: readonly Rule[];
}

interface File {
  readonly package?: string;
  readonly service?: readonly {
    readonly name?: string;
    readonly method?: readonly { readonly name?: string; readonly options?: { readonly '.google.api.http'?: Rule } }[];
  }[];
}

/** Throws Error with what is wrong. */
export function readDescriptors(bytes: Buffer): Descriptors {
  const files = envoyProtos().lookupType('google.protobuf.FileDescriptorSet').decode(bytes) as unknown as {
    readonly file: readonly File[];
  };
  const root = protobuf.Root.fromDescriptor(bytes);
  root.resolveAll();
  return new Descriptors(root, files.file);
}

export class Descriptors {
  readonly root: protobuf.Root;
  readonly #files: readonly File[];

  constructor(root: protobuf.Root, files: readonly File[]) {
    this.root = root;
    this.#files = files;
  }

  /** Throws Error: no such service, or a rule that is none. */
  waysTo(service: string, mapsAll: boolean): readonly Way[] {
    const declared = this.#files
      .flatMap((file) =>
        (file.service ?? []).map((one) => ({ name: nameIn(file.package, one.name), methods: one.method })),
      )
      .find(({ name }) => name === service);
    const found = this.root.lookup(`.${service}`);
    if (!declared || !(found instanceof protobuf.Service)) throw new Error(`there is no service ${service}`);
    return (declared.methods ?? []).flatMap(({ name = '', options }) => {
      const method = methodOf(this.root, service, found.methods[name]!);
      const own = options?.['.google.api.http'];
      const rule = own ?? (mapsAll ? { post: method.path, body: '*' } : undefined);
      if (!rule) return [];
      return [rule, ...(rule.additional_bindings ?? [])].map((one) => wayOf(method, one));
    });
  }
}

function nameIn(parent: string | undefined, name = ''): string {
  return parent ? `${parent}.${name}` : name;
}

function methodOf(root: protobuf.Root, service: string, method: protobuf.Method): Method {
  method.resolve();
  const { resolvedRequestType: input, resolvedResponseType: output } = method;
  if (!input || !output) throw new Error(`types of ${service}.${method.name} are unknown`);
  return {
    root,
    path: `/${service}/${method.name}`,
    input,
    output,
    clientStreams: method.requestStream === true,
    serverStreams: method.responseStream === true,
  };
}

function wayOf(method: Method, rule: Rule): Way {
  const [httpMethod, path] = patternOf(rule);
  if ([method.input, method.output].some(({ fullName }) => fullName === '.google.api.HttpBody'))
    throw new Error(`${method.path} has a google.api.HttpBody, which is not supported`);
  const wrong = (why: string) => new Error(`the HTTP rule of ${method.path} ${why}`);
  if (!httpMethod) throw wrong('has no pattern');
  const template = parseTemplate(path);
  if (!template) throw wrong(`has ${JSON.stringify(path)}, which is no path template`);
  for (const { path: variable } of template.variables) {
    if (!fieldsAt(method.input, variable)) throw wrong(`binds ${variable.join('.')}, which is no field`);
  }
  const body = rule.body ? (rule.body === '*' ? 'all' : fieldsAt(method.input, rule.body.split('.'))) : undefined;
  if (rule.body && !body) throw wrong(`has the body ${rule.body}, which is no field`);
  // Envoy has it of google.api.HttpBody alone.
  if (rule.response_body) throw wrong('has a response_body, which is not supported');
  return { method, httpMethod, template, body };
}

function patternOf(rule: Rule): readonly [method: string, path: string] {
  for (const name of ['get', 'put', 'post', 'delete', 'patch'] as const) {
    const path = rule[name];
    if (path) return [name.toUpperCase(), path];
  }
  return [rule.custom?.kind ?? '', rule.custom?.path ?? ''];
}

/** By names in either form; undefined: there is no such field, or one on the way is no single message. */
export function fieldsAt(type: protobuf.Type, path: readonly string[]): readonly protobuf.Field[] | undefined {
  const fields: protobuf.Field[] = [];
  let at: protobuf.Type | undefined = type;
  for (const name of path) {
    const field: protobuf.Field | undefined = at && fieldOf(at, name);
    if (!field) return undefined;
    fields.push(field);
    const { resolvedType } = field.resolve();
    at = resolvedType instanceof protobuf.Type && !field.repeated && !field.map ? resolvedType : undefined;
  }
  return fields;
}

function fieldOf(type: protobuf.Type, name: string): protobuf.Field | undefined {
  return type.fieldsArray.find((field) => field.protoName === name || field.jsonName === name);
}
