/** AuthorizationPolicy, PeerAuthentication, RequestAuthentication. */
import type { LimitTarget, RateLimitPolicy } from '../../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import type {
  AuthorizationPolicy,
  PeerAuthentication,
  PolicyCondition,
  PolicyOperation,
  PolicyRuleSpec,
  PolicySource,
  RequestAuthentication,
} from '../../../common/kube/kinds/security.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { Field } from '../finding.ts';
import { checkAddressesOrCidrs, checkSelector, quote } from './values.ts';

type Values = readonly string[] | undefined;

export function checkAuthorizationPolicy({ spec = {}, metadata }: AuthorizationPolicy, root: Field): void {
  const field = root.at('spec');
  const { action = 'ALLOW', rules = [], provider } = spec;
  checkSelector(spec.selector?.matchLabels, spec.selector !== undefined, field.at('selector'));
  checkTargets(spec, field);
  if (action === 'CUSTOM') {
    if ((provider?.name ?? '') === '')
      field
        .at('provider', 'name')
        .error('action CUSTOM needs the provider that decides', 'name an extension provider of the mesh configuration');
    if (rules.length === 0)
      field
        .at('rules')
        .error('without rules nothing matches, so nobody is ever asked', 'add a rule; {} matches everything');
  } else if (provider !== undefined) {
    field.at('provider').error(`action ${action} asks no provider`, 'remove it, or set action: CUSTOM');
  }
  if (action === 'DENY' && rules.length === 0) {
    field
      .at('rules')
      .error('without rules nothing matches, so nothing is ever denied', 'add a rule; {} matches everything');
  }
  if (action === 'ALLOW' && rules.length === 0 && spec.rules !== undefined) {
    field
      .at('rules')
      .warn('an ALLOW policy without rules denies everything', 'leave out rules to say so on purpose: spec: {}');
  }
  const dryRun = metadata.annotations?.['istio.io/dry-run'];
  if (dryRun !== undefined && action !== 'ALLOW' && action !== 'DENY') {
    root
      .at('metadata', 'annotations', 'istio.io/dry-run')
      .error(`is for ALLOW and DENY, not for ${action}`, 'remove it');
  }
  field.each('rules', rules, (rule, at) => checkRule(rule, action, at));
}

const httpRoute = 'gateway.networking.k8s.io/HTTPRoute';

function checkTargets(
  spec: {
    readonly targetRef?: { readonly kind: string; readonly group?: string };
    readonly targetRefs?: readonly { readonly kind: string; readonly group?: string }[];
  },
  field: Field,
  more: readonly string[] = [],
): void {
  const allowed = [
    ...more,
    'gateway.networking.k8s.io/Gateway',
    'gateway.networking.k8s.io/GatewayClass',
    '/Service',
    'core/Service',
    'networking.istio.io/ServiceEntry',
  ];
  const check = (ref: { readonly kind: string; readonly group?: string }, at: Field) => {
    if (allowed.includes(`${ref.group ?? ''}/${ref.kind}`)) return;
    at.error(
      `policies cannot be attached to ${ref.kind} of the group ${quote(ref.group ?? '')}`,
      'expected a Gateway or GatewayClass of gateway.networking.k8s.io, a Service of "", or a ServiceEntry of networking.istio.io',
    );
  };
  if (spec.targetRef !== undefined) check(spec.targetRef, field.at('targetRef'));
  field.each('targetRefs', spec.targetRefs, (ref, at) => check(ref, at));
}

function checkRule({ from, to, when }: PolicyRuleSpec, action: string, field: Field): void {
  if (from?.length === 0) field.at('from').error('an empty list matches nobody', 'remove it to match everybody');
  if (to?.length === 0) field.at('to').error('an empty list matches nothing', 'remove it to match everything');
  field.each('from', from, ({ source }, at) => checkSource(source, action, at.at('source')));
  field.each('to', to, ({ operation }, at) => checkOperation(operation, at.at('operation')));
  field.each('when', when, (condition, at) => checkCondition(condition, action, at));
}

const named = [
  'principals',
  'notPrincipals',
  'requestPrincipals',
  'notRequestPrincipals',
  'namespaces',
  'notNamespaces',
  'trustDomains',
  'notTrustDomains',
] as const;
/** Where action CUSTOM is decided, no token has been checked yet. */
const ofTokens: readonly string[] = ['requestPrincipals', 'notRequestPrincipals'];

function checkSource(source: PolicySource | undefined, action: string, field: Field): void {
  if (source === undefined || Object.values(source).every((v) => v === undefined || v.length === 0)) {
    field.error('says nothing about the source', 'name principals, namespaces or addresses, or remove from');
    return;
  }
  checkNotEmpty(source, field);
  for (const name of named) {
    checkWildcards(source[name], field.at(name));
    if (action === 'CUSTOM' && ofTokens.includes(name) && source[name] !== undefined) {
      field.at(name).error('is not known where action CUSTOM is decided', 'remove it');
    }
  }
  for (const name of ['trustDomains', 'notTrustDomains'] as const) {
    source[name]?.forEach((value, i) => {
      if (value.includes('/'))
        field
          .at(name, i)
          .error(`${quote(value)} is no trust domain`, 'a trust domain has no "/", such as cluster.local');
    });
  }
  for (const name of ['serviceAccounts', 'notServiceAccounts'] as const) {
    field.each(name, source[name], (value, at) => checkServiceAccount(value, at));
  }
  for (const name of ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const) {
    checkAddressesOrCidrs(source[name] ?? [], field.at(name));
  }
}

function checkOperation(operation: PolicyOperation | undefined, field: Field): void {
  if (operation === undefined || Object.values(operation).every((v) => v === undefined || v.length === 0)) {
    field.error('says nothing about the operation', 'name ports, hosts, methods or paths, or remove to');
    return;
  }
  checkNotEmpty(operation, field);
  for (const name of ['hosts', 'notHosts', 'methods', 'notMethods'] as const)
    checkWildcards(operation[name], field.at(name));
  for (const name of ['paths', 'notPaths'] as const) {
    field.each(name, operation[name], (path, at) => checkPath(path, at));
  }
  for (const name of ['ports', 'notPorts'] as const) {
    operation[name]?.forEach((port, i) => {
      if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535)
        field.at(name, i).error(`${quote(port)} is no port`, 'write a number from 1 to 65535 in quotes');
    });
  }
}

function checkNotEmpty(values: Readonly<Record<string, Values>>, field: Field): void {
  for (const [name, list] of Object.entries(values)) {
    list?.forEach((value, i) => {
      if (value === '') field.at(name, i).error('must not be empty', 'remove it');
    });
  }
}

/** At the beginning, at the end, or alone. */
function checkWildcards(values: Values, field: Field): void {
  values?.forEach((value, i) => {
    const stars = value.split('*').length - 1;
    if (stars > 1 || (stars === 1 && value !== '*' && !value.startsWith('*') && !value.endsWith('*'))) {
      field
        .at(i)
        .error(`${quote(value)} has "*" where it is no wildcard`, 'one "*" may be at the beginning or at the end');
    }
  });
}

function checkServiceAccount(value: string, field: Field): void {
  if (value === '' || value.includes('*') || !/^[^/]+(\/[^/]+)?$/.test(value)) {
    field.error(`${quote(value)} is no service account`, 'write <name> or <namespace>/<name>, without "*"');
  }
}

/** Exact, with "*" at either end, or a template with {*} and {**} as whole segments. */
export function checkPath(path: string, field: Field): void {
  if (!/[{}]/.test(path)) {
    checkWildcards([path], field);
    return;
  }
  const segments = path.split('/');
  const odd = segments.find((segment) => /[{}*]/.test(segment) && segment !== '{*}' && segment !== '{**}');
  const rest = segments.indexOf('{**}');
  if (odd !== undefined) {
    field.error(
      `the segment ${quote(odd)} of ${quote(path)} is no template`,
      '{*} stands for one segment and {**} for any number, alone in their segment',
    );
  } else if (rest !== -1 && segments.lastIndexOf('{**}') !== rest) {
    field.error(`${quote(path)} has {**} twice`, 'one of them may stand for any number of segments');
  } else if (rest !== -1 && segments.indexOf('{*}', rest) !== -1) {
    field.error(`${quote(path)} has {*} after {**}`, '{**} has to be the last template');
  }
}

const exactKeys = [
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.serviceAccount',
  'source.principal',
  'source.trustDomain',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'destination.ip',
  'destination.port',
  'connection.sni',
];
const bracketed = /^(request\.headers|request\.auth\.claims)(\[[^[\]]+\])+$/;

function checkCondition({ key, values = [], notValues = [] }: PolicyCondition, action: string, field: Field): void {
  const known = exactKeys.includes(key) || bracketed.test(key) || /^experimental\.envoy\.filters\..+\[.+\]$/.test(key);
  if (!known) {
    const instead: Readonly<Record<string, string>> = {
      'destination.namespace': 'a policy is for its own namespace',
      'destination.labels': 'use spec.selector',
      'destination.name': 'use spec.targetRefs',
      'destination.user': 'use spec.selector',
    };
    field
      .at('key')
      .error(
        `${quote(key)} is no attribute`,
        instead[key.replace(/\[.*$/, '')] ??
          `expected one of ${exactKeys.join(', ')}, request.headers[name], request.auth.claims[name]`,
      );
    return;
  }
  if (action === 'CUSTOM' && key.startsWith('request.auth.'))
    field.at('key').error(`${key} is not known where action CUSTOM is decided`, 'remove it');
  if (values.length === 0 && notValues.length === 0) field.error('values or notValues is expected');
  for (const [name, list] of [
    ['values', values],
    ['notValues', notValues],
  ] as const) {
    const at = field.at(name);
    list.forEach((value, i) => {
      if (value === '') at.at(i).error('must not be empty', 'remove it');
    });
    if (key.endsWith('.ip')) checkAddressesOrCidrs(list, at);
    else if (key === 'source.serviceAccount') field.each(name, list, checkServiceAccount);
    else if (key === 'destination.port') {
      list.forEach((value, i) => {
        if (!/^\d{1,5}$/.test(value) || Number(value) > 65_535) at.at(i).error(`${quote(value)} is no port`);
      });
    } else if (!key.startsWith('experimental.')) checkWildcards(list, at);
  }
}

export function checkPeerAuthentication({ spec = {} }: PeerAuthentication, root: Field): void {
  checkSelector(spec.selector?.matchLabels, spec.selector !== undefined, root.at('spec', 'selector'));
}

/** Header names (RFC 9110 5.1). */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export function checkRateLimitPolicy({ spec }: RateLimitPolicy, root: Field): void {
  const field = root.at('spec');
  checkTargets(spec, field, [httpRoute]);
  const checkSection = ({ kind, sectionName }: LimitTarget, at: Field) => {
    if (sectionName === undefined || ['Service', 'ServiceEntry', 'HTTPRoute'].includes(kind)) return;
    at.at('sectionName').error(`a ${kind} has no parts that could be limited`, 'leave it out');
  };
  if (spec.targetRef !== undefined) checkSection(spec.targetRef, field.at('targetRef'));
  field.each('targetRefs', spec.targetRefs, checkSection);
  if (spec.targetRef === undefined && (spec.targetRefs ?? []).length === 0) {
    field.at('targetRefs').error('names nothing: attach the policy to a Gateway, Service, ServiceEntry or HTTPRoute');
  }
  spec.limits.forEach(({ by = [] }, i) => {
    by.forEach(({ type, name = '' }, k) => {
      const at = field.at('limits', i, 'by', k, 'name');
      if (type === 'Header' && !token.test(name)) at.error(`${quote(name)} is no name of a header`);
      if (type === 'Claim' && name.split('.').includes('')) at.error(`${quote(name)} has an empty part`);
    });
  });
}

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'];

export function checkRequestAuthentication({ spec = {} }: RequestAuthentication, root: Field): void {
  const field = root.at('spec');
  checkSelector(spec.selector?.matchLabels, spec.selector !== undefined, field.at('selector'));
  checkTargets(spec, field);
  spec.jwtRules?.forEach((rule, i) => {
    const at = field.at('jwtRules', i);
    if (
      rule.issuer === undefined &&
      rule.jwksUri === undefined &&
      rule.jwks_uri === undefined &&
      rule.jwks === undefined
    ) {
      at.error('an issuer or its keys are expected', 'set issuer, jwksUri or jwks');
    }
    for (const name of ['jwksUri', 'jwks_uri'] as const) {
      const uri = rule[name];
      if (uri?.startsWith('http:')) {
        at.at(name).warn('keys that come in plain text are whatever the network says', 'use https');
      }
    }
    if (rule.jwks !== undefined && rule.jwks !== '') checkJwks(rule.jwks, at.at('jwks'));
  });
}

function checkJwks(text: string, field: Field): void {
  let keys: unknown;
  try {
    const parsed: unknown = JSON.parse(text);
    keys = isObject(parsed) ? parsed['keys'] : undefined;
  } catch {
    keys = undefined;
  }
  if (!Array.isArray(keys)) {
    field.error('is no JSON Web Key Set', 'expected {"keys": [...]}');
    return;
  }
  keys.forEach((key, i) => {
    if (isObject(key) && privateMembers.some((m) => Object.hasOwn(key, m))) {
      field.warn(
        `key ${i} has private parts, which everybody who reads this object knows`,
        'publish the public key alone, and make a new one',
      );
    }
  });
}
