/** Filters of HTTPRoutes and GRPCRoutes. */
import {
  type ArraySchema,
  about,
  boolean,
  integer,
  object,
  oneOf,
  string,
  type Typed,
  where,
  withDefault,
} from '../../schema/types.ts';
import { atomic, int32From, keyed, localObjectRef, portNumber, preciseHostname, setOf } from './common.ts';
import { backendObjectFields, headerName, mirrorFraction, servicesHavePorts, typed } from './route.ts';

export const headerValue = string({
  minLength: 1,
  maxLength: 4096,
  pattern: '^[!-~]+([\\t ]?[!-~]+)*$',
  expects: 'printable characters, with single blanks in between',
});
const header = object({ 'name!': headerName, 'value!': headerValue });
const headerModifier = object({
  set: about('Replaced or added.', keyed(header, 'name', { maxItems: 16 })),
  add: about('Added to what is there.', keyed(header, 'name', { maxItems: 16 })),
  remove: about('Taken away.', setOf(string(), { maxItems: 16 })),
});

const backendObject = where(object(backendObjectFields), ...servicesHavePorts);
const requestMirror = where(
  object({
    'backendRef!': about('Who gets the copies; its answers are thrown away.', backendObject),
    percent: about('Share of the requests. Default all.', { ...integer(0, 100), format: 'int32' }),
    fraction: about('Share of the requests, as a fraction.', mirrorFraction),
  }),
  '!(has(self.percent) && has(self.fraction))',
  'percent and fraction exclude each other; keep one',
);

const headerModifiers = {
  requestHeaderModifier: about('Changes headers of requests.', headerModifier),
  responseHeaderModifier: about('Changes headers of answers.', headerModifier),
  requestMirror: about('Sends copies of requests elsewhere.', requestMirror),
  extensionRef: about('A filter that only implementations know.', localObjectRef),
};

const replacePath = typed(
  object({
    'type!': oneOf('ReplaceFullPath', 'ReplacePrefixMatch'),
    replaceFullPath: about('In place of the path.', string({ maxLength: 1024 })),
    replacePrefixMatch: about('In place of the prefix that matched.', string({ maxLength: 1024 })),
  }),
  { ReplaceFullPath: 'replaceFullPath', ReplacePrefixMatch: 'replacePrefixMatch' },
);

const requestRedirect = object({
  scheme: about('Scheme of the new URL.', oneOf('http', 'https')),
  hostname: about('Host of the new URL.', preciseHostname),
  path: about('Path of the new URL.', replacePath),
  port: about('Port of the new URL.', portNumber),
  statusCode: about('Status of the answer. Default 302.', {
    ...withDefault(integer(), 302),
    enum: [301, 302, 303, 307, 308],
  }),
});

const urlRewrite = object({
  hostname: about('In place of the host.', preciseHostname),
  path: about('In place of the path.', replacePath),
});

const anyOrSome = ["!('*' in self) || self.size() == 1", '"*" means all; remove the others'] as const;
const origin = string({
  minLength: 1,
  maxLength: 253,
  pattern: '(^\\*$)|(^(http(s)?):\\/\\/(((\\*\\.)?([a-zA-Z0-9\\-]+\\.)*[a-zA-Z0-9-]+|\\*)(:([0-9]{1,5}))?)$)',
  expects: '*, or http:// or https:// and a host, with *. in front and a port behind or without',
});
const cors = object({
  allowOrigins: about('Origins of pages that may read answers.', where(setOf(origin, { maxItems: 64 }), ...anyOrSome)),
  allowCredentials: about('Whether cookies go along.', boolean),
  allowMethods: about(
    'Methods.',
    where(
      setOf(oneOf('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', '*'), {
        maxItems: 9,
      }),
      ...anyOrSome,
    ),
  ),
  allowHeaders: about('Headers of requests.', where(setOf(headerName, { maxItems: 64 }), ...anyOrSome)),
  exposeHeaders: about('Headers of answers that pages see.', setOf(headerName, { maxItems: 64 })),
  maxAge: about('Seconds that a browser remembers. Default 5.', withDefault(int32From(1), 5)),
});

const headersToPass = setOf(string(), { maxItems: 64 });
const externalAuth = [
  ["(self.protocol == 'GRPC') == has(self.grpc)", 'grpc is for protocol GRPC, which needs it'],
  ["(self.protocol == 'HTTP') == has(self.http)", 'http is for protocol HTTP, which needs it'],
].reduce(
  (schema, [rule, message]) => where(schema, rule!, message!),
  object({
    'protocol!': about('How the server is asked.', oneOf('HTTP', 'GRPC')),
    'backendRef!': about('The server that decides.', backendObject),
    grpc: object({ allowedHeaders: about('Headers that the server gets.', headersToPass) }),
    http: object({
      path: about(
        'Prefix of the path that is asked for.',
        string({
          maxLength: 1024,
          pattern: "^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$",
          expects: 'a path',
        }),
      ),
      allowedHeaders: about('Headers that the server gets.', headersToPass),
      allowedResponseHeaders: about('Headers of its answer that the backend gets.', headersToPass),
    }),
    forwardBody: about(
      'The server gets the body too.',
      object({ maxSize: about('Bytes of it; 0: none.', int32From(0)) }),
    ),
  }),
);

const grpcFilter = typed(
  object({
    'type!': oneOf('ResponseHeaderModifier', 'RequestHeaderModifier', 'RequestMirror', 'ExtensionRef'),
    ...headerModifiers,
  }),
  {
    RequestHeaderModifier: 'requestHeaderModifier',
    ResponseHeaderModifier: 'responseHeaderModifier',
    RequestMirror: 'requestMirror',
    ExtensionRef: 'extensionRef',
  },
);

const httpFilter = typed(
  object({
    'type!': oneOf(
      'RequestHeaderModifier',
      'ResponseHeaderModifier',
      'RequestMirror',
      'RequestRedirect',
      'URLRewrite',
      'ExtensionRef',
      'CORS',
      'ExternalAuth',
    ),
    ...headerModifiers,
    requestRedirect: about('Answers with a redirect.', requestRedirect),
    urlRewrite: about('Changes the URL before the request goes on.', urlRewrite),
    cors: about('Answers questions of browsers.', cors),
    externalAuth: about('Asks a server whether the request may pass.', externalAuth),
  }),
  {
    RequestHeaderModifier: 'requestHeaderModifier',
    ResponseHeaderModifier: 'responseHeaderModifier',
    RequestMirror: 'requestMirror',
    RequestRedirect: 'requestRedirect',
    URLRewrite: 'urlRewrite',
    ExtensionRef: 'extensionRef',
    CORS: 'cors',
    ExternalAuth: 'externalAuth',
  },
);

function atMostOnce<S extends ArraySchema & Typed<unknown>>(list: S, types: readonly string[]): S {
  return types.reduce(
    (schema, type) => where(schema, `self.filter(f, f.type == '${type}').size() <= 1`, `${type} may be there once`),
    list,
  );
}

export const grpcFilters = atMostOnce(atomic(grpcFilter, { maxItems: 16 }), [
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
]);

export const httpFilters = where(
  atMostOnce(atomic(httpFilter, { maxItems: 16 }), [
    'RequestHeaderModifier',
    'ResponseHeaderModifier',
    'RequestRedirect',
    'URLRewrite',
    'CORS',
  ]),
  "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
  'a request is redirected or rewritten; keep RequestRedirect or URLRewrite',
);
