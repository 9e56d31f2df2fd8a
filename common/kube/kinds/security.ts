/** Kinds of security.istio.io (api-fields.txt). */
import { about, boolean, list, map, object, oneOf, string, type TypeOf, where } from '../schema/types.ts';
import type { Kind, KubeObject } from '../types.ts';
import {
  age,
  duration,
  type IstioStatus,
  istioKind,
  oneTarget,
  selector,
  targetRef,
  targetRefs,
} from './istio/common.ts';

export type { IstioStatus, PolicyTargetReference, WorkloadSelector } from './istio/common.ts';

const strings = list(string());
const serviceAccounts = list(string({ maxLength: 320 }), { maxItems: 16 });

const source = where(
  about(
    'Who calls: all that is set has to hold.',
    object({
      principals: about('Identities, <trust domain>/ns/<namespace>/sa/<service account>; "*" at either end.', strings),
      notPrincipals: about('Identities that the caller must not have.', strings),
      requestPrincipals: about('Issuer and subject of the token, <issuer>/<subject>. L7.', strings),
      notRequestPrincipals: about('Issuers and subjects that the token must not have. L7.', strings),
      namespaces: about("Namespaces of the caller's identity.", strings),
      notNamespaces: about('Namespaces that the caller must not be of.', strings),
      serviceAccounts: about('Service accounts, <name> or <namespace>/<name>.', serviceAccounts),
      notServiceAccounts: about('Service accounts that the caller must not be.', serviceAccounts),
      trustDomains: about("Trust domains of the caller's identity.", strings),
      notTrustDomains: about('Trust domains that the caller must not be of.', strings),
      ipBlocks: about('Addresses or CIDRs that the connection comes from.', strings),
      notIpBlocks: about('Addresses or CIDRs that the connection must not come from.', strings),
      remoteIpBlocks: about('Addresses or CIDRs of the client as X-Forwarded-For or PROXY tells. L7.', strings),
      notRemoteIpBlocks: about('Addresses or CIDRs that this client must not have. L7.', strings),
    }),
  ),
  '!(has(self.serviceAccounts) || has(self.notServiceAccounts)) || !(has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces))',
  'service accounts name a namespace and an identity already; remove them or principals and namespaces',
);
export type PolicySource = TypeOf<typeof source>;

const operation = about(
  'What is called: all that is set has to hold.',
  object({
    hosts: about('Host of the request, without regard to case. L7.', strings),
    notHosts: about('Hosts that the request must not name. L7.', strings),
    ports: about('Ports of the workload.', strings),
    notPorts: about('Ports of the workload that are excepted.', strings),
    methods: about('Methods of the request. L7.', strings),
    notMethods: about('Methods that the request must not have. L7.', strings),
    paths: about('Paths: exact, with "*" at either end, or with {*} and {**} as whole segments. L7.', strings),
    notPaths: about('Paths that the request must not have. L7.', strings),
  }),
);
export type PolicyOperation = TypeOf<typeof operation>;

const condition = object({
  'key!': about('An attribute such as source.ip, destination.port or request.headers[name].', string()),
  values: about('One of these has to match.', strings),
  notValues: about('None of these may match.', strings),
});
export type PolicyCondition = TypeOf<typeof condition>;

const rule = about(
  'Matches where one of from, one of to and all of when do; what is absent matches everything.',
  object({
    from: about('Callers.', list(object({ source }), { maxItems: 512 })),
    to: about('Operations.', list(object({ operation }))),
    when: about('Further conditions.', list(condition)),
  }),
);
export type PolicyRuleSpec = TypeOf<typeof rule>;

const authorizationPolicySpec = object(
  {
    selector,
    targetRef: about('What this is attached to; targetRefs takes several.', targetRef),
    targetRefs,
    action: about('What happens to what matches. Default ALLOW.', oneOf('ALLOW', 'DENY', 'AUDIT', 'CUSTOM')),
    provider: about(
      'With CUSTOM: who decides.',
      object({ name: about('Name of an extension provider of the mesh configuration.', string()) }),
    ),
    rules: about('One has to match. ALLOW without rules allows nothing.', list(rule, { maxItems: 512 })),
  },
  oneTarget,
);

export interface AuthorizationPolicy extends KubeObject {
  readonly spec?: TypeOf<typeof authorizationPolicySpec>;
  readonly status?: IstioStatus;
}

const mutualTls = object({
  mode: about(
    'STRICT takes only mutual TLS, PERMISSIVE plain text too, DISABLE plain text. UNSET: as in the next wider scope.',
    oneOf('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'),
  ),
});
export type MutualTls = TypeOf<typeof mutualTls>;

const peerAuthenticationSpec = where(
  object({
    selector,
    mtls: about('For all ports.', mutualTls),
    portLevelMtls: about(
      'For single ports of the workload, by their number.',
      where(
        map(mutualTls, { minProperties: 1 }),
        'self.all(port, 0 < int(port) && int(port) <= 65535)',
        'keys are ports: 1 to 65535',
      ),
    ),
  }),
  '!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0)',
  'ports differ from workload to workload: portLevelMtls needs a selector',
);

export interface PeerAuthentication extends KubeObject {
  readonly spec?: TypeOf<typeof peerAuthenticationSpec>;
  readonly status?: IstioStatus;
}

const filled = string({ minLength: 1 });
const jwksUri = where(
  string({ minLength: 1, maxLength: 2048 }),
  "isURL(self) && url(self).getScheme() in ['http', 'https']",
  'expected a URL that begins with http:// or https://',
);

const jwtRule = object(
  {
    issuer: about('The iss claim.', filled),
    audiences: about('One of these has to be in the aud claim.', list(filled)),
    jwksUri: about("Where the issuer's keys are.", jwksUri),
    jwks_uri: about('Older name of jwksUri.', jwksUri),
    jwks: about("The issuer's keys themselves.", string()),
    fromHeaders: about(
      'Headers that hold the token. Default: Authorization, after "Bearer ".',
      list(
        object({
          'name!': about('Name of the header.', filled),
          prefix: about('What comes before the token.', string()),
        }),
      ),
    ),
    fromParams: about('Query parameters that hold the token.', list(filled)),
    fromCookies: about('Cookies that hold the token.', list(filled)),
    outputPayloadToHeader: about('Header that the workload gets with the claims, in base64.', string()),
    forwardOriginalToken: about('The workload gets the token too.', boolean),
    outputClaimToHeaders: about(
      'Headers that the workload gets with single claims.',
      list(
        object({
          'header!': about(
            'Name of the header.',
            string({ minLength: 1, pattern: '^[-_A-Za-z0-9]+$', expects: 'a header: letters, digits, "-" and "_"' }),
          ),
          'claim!': about('Claim, with dots between names that nest.', filled),
        }),
      ),
    ),
    timeout: about('How long fetching the keys may take. Default 5s.', duration),
    spaceDelimitedClaims: about(
      'Claims that are lists in a string, with blanks between.',
      list(filled, { maxItems: 64 }),
    ),
    presence: about('Whether a request without a token passes this rule.', oneOf('OPTIONAL', 'REQUIRED')),
  },
  { atMostOneOf: [['jwksUri', 'jwks_uri', 'jwks']] },
);

const requestAuthenticationSpec = object(
  {
    selector,
    targetRef: about('What this is attached to; targetRefs takes several.', targetRef),
    targetRefs,
    jwtRules: about('Issuers of tokens. A token of none of them is refused.', list(jwtRule, { maxItems: 4096 })),
  },
  oneTarget,
);

export interface RequestAuthentication extends KubeObject {
  readonly spec?: TypeOf<typeof requestAuthenticationSpec>;
  readonly status?: IstioStatus;
}

const group = { group: 'security.istio.io', version: 'v1', namespaced: true } as const;

export const authorizationPolicyKind: Kind<AuthorizationPolicy> = {
  ...group,
  kind: 'AuthorizationPolicy',
  plural: 'authorizationpolicies',
};
export const peerAuthenticationKind: Kind<PeerAuthentication> = {
  ...group,
  kind: 'PeerAuthentication',
  plural: 'peerauthentications',
};
export const requestAuthenticationKind: Kind<RequestAuthentication> = {
  ...group,
  kind: 'RequestAuthentication',
  plural: 'requestauthentications',
};

const versions = ['v1', 'v1beta1'];

export const securityKinds = [
  istioKind(authorizationPolicyKind, {
    description: 'Which callers may do what with workloads. An ALLOW policy closes what no ALLOW policy matches.',
    versions,
    shortNames: ['ap'],
    columns: [
      { name: 'Action', type: 'string', jsonPath: '.spec.action', description: 'What happens to what matches' },
      age,
    ],
    spec: authorizationPolicySpec,
    specRequired: false,
  }),
  istioKind(peerAuthenticationKind, {
    description: 'Whether workloads take plain text.',
    versions,
    shortNames: ['pa'],
    columns: [{ name: 'Mode', type: 'string', jsonPath: '.spec.mtls.mode', description: 'What is taken' }, age],
    spec: peerAuthenticationSpec,
    specRequired: false,
  }),
  istioKind(requestAuthenticationKind, {
    description: 'Whose tokens requests may carry.',
    versions,
    shortNames: ['ra'],
    spec: requestAuthenticationSpec,
    specRequired: false,
  }),
];
