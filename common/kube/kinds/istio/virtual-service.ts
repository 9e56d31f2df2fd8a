/** networking.istio.io VirtualService. */
import {
  about,
  boolean,
  double,
  int32,
  list,
  map,
  object,
  oneOf,
  orNull,
  string,
  type TypeOf,
} from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, duration, type IstioStatus, istioKind, uint32 } from './common.ts';

const strings = list(string());
const portOf = object({ number: uint32 });

const destination = object({
  'host!': about('The service: a DNS name, short or full.', string()),
  subset: about("One of the subsets of the service's DestinationRule.", string()),
  port: about('Port of the service; may be left out where it has one.', portOf),
});
const weight = about('Share of the load, relative to the sum. One destination alone gets everything.', int32);
const percent = object({ value: double() });

const stringMatch = object(
  {
    exact: about('The whole value.', string()),
    prefix: about('How the value begins.', string()),
    regex: about('An RE2 expression of the whole value.', string()),
  },
  { atMostOneOf: [['exact', 'prefix', 'regex']] },
);
export type StringMatch = TypeOf<typeof stringMatch>;

const headerChanges = object({
  set: about('Replaced or added.', map(string())),
  add: about('Added to what is there.', map(string())),
  remove: about('Taken away.', strings),
});
const headers = about('Changes of headers.', object({ request: headerChanges, response: headerChanges }));

const source = {
  sourceLabels: about('Labels of the calling workload.', map(string())),
  gateways: about('Gateways that this is for; "mesh" is every workload.', strings),
  sourceNamespace: about('Namespace of the calling workload.', string()),
};

const httpMatch = object({
  name: about('Name of the match, for statistics.', string()),
  uri: about('Path.', stringMatch),
  scheme: stringMatch,
  method: stringMatch,
  authority: about('Host of the request.', stringMatch),
  headers: about('Headers; an empty match: it is there.', map(stringMatch)),
  withoutHeaders: about('Headers that must not match; an empty match: it is not there.', map(stringMatch)),
  queryParams: about('Query parameters.', map(stringMatch)),
  ignoreUriCase: about('Upper and lower case of the path are the same.', boolean),
  port: about('Port of the service or gateway.', uint32),
  statPrefix: about('Beginning of the names of statistics.', string()),
  ...source,
});

const httpRoute = object({
  name: about('Name of the route, for logs.', string()),
  match: about('One of these has to match; without any, everything does.', list(httpMatch)),
  route: about('Where requests go, by weights.', list(object({ 'destination!': destination, weight, headers }))),
  redirect: about(
    'Answer with a redirect.',
    object(
      {
        uri: about('Path of the new URL.', string()),
        authority: about('Host of the new URL.', string()),
        port: about('Port of the new URL.', uint32),
        derivePort: about(
          'Port of the new URL: of its scheme, or as it was.',
          oneOf('FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'),
        ),
        scheme: about('Scheme of the new URL.', string()),
        redirectCode: about('Status. Default 301.', uint32),
        prefixRewrite: about('What comes in place of the prefix that matched.', string()),
      },
      { atMostOneOf: [['port', 'derivePort']] },
    ),
  ),
  directResponse: about(
    'Answer at once.',
    object({
      'status!': about('Status of the answer.', uint32),
      body: about(
        'Body of the answer.',
        object({ string: string(), bytes: string({ format: 'byte' }) }, { atMostOneOf: [['string', 'bytes']] }),
      ),
    }),
  ),
  delegate: about(
    'A VirtualService without hosts whose routes are put here.',
    object({ name: string(), namespace: string() }),
  ),
  rewrite: about(
    'Change the request before it goes on.',
    object({
      uri: about('In place of the path, or of the prefix that matched.', string()),
      authority: about('In place of the host.', string()),
      uriRegexRewrite: about(
        'Change the path by a regular expression.',
        object({
          match: about('RE2 expression.', string()),
          rewrite: about('With \\1 for the first group.', string()),
        }),
      ),
    }),
  ),
  timeout: about('How long the answer may take. Default: for ever.', duration),
  retries: about(
    'Try again.',
    object({
      attempts: about('How often. 0: never.', int32),
      perTryTimeout: about('How long each try may take.', duration),
      retryOn: about('Conditions and status codes, with commas between.', string()),
      retryRemoteLocalities: about('Try other localities too.', orNull(boolean)),
      retryIgnorePreviousHosts: about('Endpoints that failed may be tried again.', orNull(boolean)),
      backoff: about('Time until the first retry; it grows. Default 25ms.', duration),
    }),
  ),
  fault: about(
    'Faults on purpose, for tests of clients.',
    object({
      delay: object(
        {
          percent: about('Older form of percentage.', int32),
          percentage: about('Share of the requests.', percent),
          fixedDelay: about('How long requests are held.', duration),
          exponentialDelay: duration,
        },
        { atMostOneOf: [['fixedDelay', 'exponentialDelay']] },
      ),
      abort: object(
        {
          httpStatus: about('Status of the answer.', int32),
          grpcStatus: about('Status of the answer, by its name.', string()),
          http2Error: string(),
          percentage: about('Share of the requests.', percent),
        },
        { atMostOneOf: [['httpStatus', 'grpcStatus', 'http2Error']] },
      ),
    }),
  ),
  mirror: about('Also send requests there; answers are thrown away.', destination),
  mirrors: about('Several mirrors.', list(object({ 'destination!': destination, percentage: percent }))),
  mirrorPercent: about('Older form of mirrorPercentage.', orNull(uint32)),
  mirror_percent: about('Older form of mirrorPercentage.', orNull(uint32)),
  mirrorPercentage: about('Share of the requests that are mirrored. Default all.', percent),
  corsPolicy: about(
    'Which web pages may read answers.',
    object({
      allowOrigin: about('Older form of allowOrigins.', strings),
      allowOrigins: about('Origins of pages.', list(stringMatch)),
      allowMethods: about('Methods.', strings),
      allowHeaders: about('Headers that requests may have.', strings),
      exposeHeaders: about('Headers of answers that pages see.', strings),
      maxAge: about('How long a browser remembers.', duration),
      allowCredentials: about('Whether cookies go along.', orNull(boolean)),
      unmatchedPreflights: about(
        'What happens to questions of other origins.',
        oneOf('UNSPECIFIED', 'FORWARD', 'IGNORE'),
      ),
    }),
  ),
  headers,
});

const streamRoute = about('Where connections go, by weights.', list(object({ 'destination!': destination, weight })));
const destinationSubnets = about('Addresses or CIDRs that were wanted.', strings);

const spec = object({
  hosts: about('Names that clients ask for.', strings),
  gateways: about('Gateways that this is for; "mesh" is every workload. Default mesh.', strings),
  http: about('Routes of HTTP; the first that matches.', list(httpRoute)),
  tls: about(
    'Routes of TLS that passes through, by the name in its hello.',
    list(
      object({
        'match!': list(
          object({
            'sniHosts!': about('Names that clients ask for; within the hosts.', strings),
            destinationSubnets,
            port: uint32,
            ...source,
          }),
        ),
        route: streamRoute,
      }),
    ),
  ),
  tcp: about(
    'Routes of TCP.',
    list(
      object({
        match: list(object({ destinationSubnets, port: uint32, sourceSubnet: string(), ...source })),
        route: streamRoute,
      }),
    ),
  ),
  exportTo: about('Namespaces that see it: names, "." for its own, "*" for all. Default all.', strings),
});

export interface VirtualService extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: IstioStatus;
}

export const virtualServiceKind: Kind<VirtualService> = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'VirtualService',
  plural: 'virtualservices',
  namespaced: true,
};

export const virtualService = istioKind(virtualServiceKind, {
  description: 'Where requests to a name go.',
  versions: ['v1', 'v1alpha3', 'v1beta1'],
  shortNames: ['vs'],
  columns: [
    { name: 'Gateways', type: 'string', jsonPath: '.spec.gateways', description: 'Gateways that it is for' },
    { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts', description: 'Names that clients ask for' },
    age,
  ],
  spec,
  specRequired: false,
});
