/**
 * Rules of AuthorizationPolicies to Envoy's RBAC policies. What cannot be checked makes a rule of ALLOW match nothing, and is left out
 * of rules of other actions: both refuse more than was asked for, never less.
 */
import { assertNever } from '../../../common/core/errors.ts';
import type {
  PolicyCondition,
  PolicyOperation,
  PolicyRuleSpec,
  PolicySource,
} from '../../../common/kube/kinds/security.ts';
import type { Message } from '../values.ts';
import { anyText, headerMatcher, hostMatcher, pathPermission, quote, range, regex, textMatcher } from './matchers.ts';

/** What a chain sees: whole requests, or connections alone. */
export type Level = 'http' | 'tcp';

export interface RuleScope {
  readonly level: Level;
  /** Of the policy: service accounts without a namespace are of it. */
  readonly namespace: string;
  /** The mesh's own, with its aliases: each of them means all of them. */
  readonly trustDomains: readonly string[];
  /** Tokens have been read. Action CUSTOM is decided before. */
  readonly hasTokens: boolean;
}

export interface ConvertedRule {
  /** Message `Policy`; undefined: it matches nothing. */
  readonly policy: Message | undefined;
  /** Paths of fields that are not checked. */
  readonly unsupported: readonly string[];
}

/** Key of filter state under which the tunnel's end keeps who called. */
const peerPrincipal = 'io.istio.peer_principal';

export function convertRule(rule: PolicyRuleSpec, isAllow: boolean, path: string, scope: RuleScope): ConvertedRule {
  const whens = (rule.when ?? []).map((w, i) => condition(w, `${path}.when[${i}]`, scope));
  const froms = (rule.from ?? []).map((f, i) => source(f.source ?? {}, `${path}.from[${i}].source`, scope));
  const tos = (rule.to ?? []).map((t, i) => operation(t.operation ?? {}, `${path}.to[${i}].operation`, scope));
  const unsupported = [...whens, ...froms, ...tos].flatMap((p) => p.unsupported);
  if (isAllow && unsupported.length > 0) return { policy: undefined, unsupported };
  const permissions = [
    ...whens.flatMap((w) => w.permissions),
    ...alternatives(
      tos.map((t) => t.permissions),
      'rules',
    ),
  ];
  const principals = [
    ...whens.flatMap((w) => w.principals),
    ...alternatives(
      froms.map((f) => f.principals),
      'ids',
    ),
  ];
  return {
    policy: {
      permissions: [all(permissions, 'rules')],
      principals: [all(principals, 'ids')],
    },
    unsupported,
  };
}

/** Terms that all have to hold. */
interface Terms {
  readonly permissions: readonly Message[];
  readonly principals: readonly Message[];
  readonly unsupported: readonly string[];
}

type ListField = 'rules' | 'ids';

function all(terms: readonly Message[], list: ListField): Message {
  if (terms.length === 0) return { any: true };
  return terms.length === 1 ? terms[0]! : { [`and_${list}`]: { [list]: terms } };
}

function some(terms: readonly Message[], list: ListField): Message {
  return terms.length === 1 ? terms[0]! : { [`or_${list}`]: { [list]: terms } };
}

/** One of several lists of terms; none where no list says anything, or one of them holds always. */
function alternatives(lists: readonly (readonly Message[])[], list: ListField): readonly Message[] {
  if (lists.length === 0 || lists.some((terms) => terms.length === 0)) return [];
  return [
    some(
      lists.map((terms) => all(terms, list)),
      list,
    ),
  ];
}

type Convert = (value: string) => Message | undefined;

class Collector implements Terms {
  readonly permissions: Message[] = [];
  readonly principals: Message[] = [];
  readonly unsupported: string[] = [];
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  permission(field: string, values: Values, nots: Values, convert: Convert | undefined): void {
    this.#add(this.permissions, 'rules', field, values, nots, convert);
  }

  principal(field: string, values: Values, nots: Values, convert: Convert | undefined): void {
    this.#add(this.principals, 'ids', field, values, nots, convert);
  }

  refuse(field: string): void {
    this.unsupported.push(`${this.#path}.${field}`);
  }

  /** `convert` undefined: it cannot be checked here. */
  #add(
    to: Message[],
    list: ListField,
    field: string,
    values: Values,
    nots: Values,
    convert: Convert | undefined,
  ): void {
    const one = (some_: Values, name: string): Message | undefined => {
      if (some_ === undefined || some_.length === 0) return undefined;
      const made = some_.map((v) => convert?.(v));
      if (made.every((m) => m !== undefined)) return some(made, list);
      this.refuse(name);
      return undefined;
    };
    const has = one(values, field);
    if (has) to.push(has);
    const not = one(nots, `not${field[0]!.toUpperCase()}${field.slice(1)}`);
    if (not) to.push(list === 'rules' ? { not_rule: not } : { not_id: not });
  }
}

type Values = readonly string[] | undefined;

function operation(o: PolicyOperation, path: string, { level }: RuleScope): Terms {
  const c = new Collector(path);
  const http = (convert: Convert) => (level === 'http' ? convert : undefined);
  c.permission(
    'hosts',
    o.hosts,
    o.notHosts,
    http((v) => ({ header: hostMatcher(v) })),
  );
  c.permission(
    'methods',
    o.methods,
    o.notMethods,
    http((v) => ({ header: headerMatcher(':method', v) })),
  );
  c.permission('paths', o.paths, o.notPaths, http(pathPermission));
  c.permission('ports', o.ports, o.notPorts, port);
  return c;
}

function source(s: PolicySource, path: string, scope: RuleScope): Terms {
  const c = new Collector(path);
  c.principal('principals', s.principals, s.notPrincipals, (v) => principal(v, scope));
  c.principal('requestPrincipals', s.requestPrincipals, s.notRequestPrincipals, tokenTest(scope, requestPrincipal));
  c.principal('namespaces', s.namespaces, s.notNamespaces, namespace);
  c.principal('serviceAccounts', s.serviceAccounts, s.notServiceAccounts, (v) => account(v, scope));
  c.principal('trustDomains', s.trustDomains, s.notTrustDomains, trustDomain);
  c.principal('ipBlocks', s.ipBlocks, s.notIpBlocks, sourceIp);
  c.principal('remoteIpBlocks', s.remoteIpBlocks, s.notRemoteIpBlocks, remoteIp);
  return c;
}

function condition({ key, values, notValues }: PolicyCondition, path: string, scope: RuleScope): Terms {
  const c = new Collector(path);
  const attribute = attributeOf(key);
  const permission = (convert: Convert | undefined) => c.permission('values', values, notValues, convert);
  const who = (convert: Convert | undefined) => c.principal('values', values, notValues, convert);
  switch (attribute.kind) {
    case 'destination.ip':
      permission((v) => wrap('destination_ip', range(v)));
      break;
    case 'destination.port':
      permission(port);
      break;
    case 'connection.sni':
      permission((v) => ({ requested_server_name: textMatcher(v) }));
      break;
    case 'metadata':
      permission((v) => metadata(attribute.filter, attribute.key, v));
      break;
    case 'source.ip':
      who(sourceIp);
      break;
    case 'remote.ip':
      who(remoteIp);
      break;
    case 'source.namespace':
      who(namespace);
      break;
    case 'source.principal':
      who((v) => principal(v, scope));
      break;
    case 'source.serviceAccount':
      who((v) => account(v, scope));
      break;
    case 'source.trustDomain':
      who(trustDomain);
      break;
    case 'header':
      who(scope.level === 'http' ? (v) => ({ header: headerMatcher(attribute.name, v) }) : undefined);
      break;
    case 'token principal':
      who(tokenTest(scope, requestPrincipal));
      break;
    case 'claim':
      who(tokenTest(scope, (v) => ({ metadata: claim(attribute.path, v) })));
      break;
    case 'unknown':
      c.refuse(`key "${key}"`);
      break;
    default:
      assertNever(attribute);
  }
  return c;
}

type Attribute =
  | {
      readonly kind:
        | 'destination.ip'
        | 'destination.port'
        | 'connection.sni'
        | 'source.ip'
        | 'remote.ip'
        | 'source.namespace'
        | 'source.principal'
        | 'source.serviceAccount'
        | 'source.trustDomain';
    }
  | { readonly kind: 'metadata'; readonly filter: string; readonly key: string }
  | { readonly kind: 'header'; readonly name: string }
  /** Issuer and subject of the token. */
  | { readonly kind: 'token principal' }
  | { readonly kind: 'claim'; readonly path: readonly string[] }
  | { readonly kind: 'unknown' };

const plain = [
  'destination.ip',
  'destination.port',
  'connection.sni',
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.principal',
  'source.serviceAccount',
  'source.trustDomain',
] as const;

function attributeOf(key: string): Attribute {
  const own = plain.find((p) => p === key);
  if (own !== undefined) return { kind: own };
  const header = /^request\.headers\[([^\]]+)\]$/.exec(key)?.[1];
  if (header !== undefined) return { kind: 'header', name: header.toLowerCase() };
  if (key === 'request.auth.principal') return { kind: 'token principal' };
  if (key === 'request.auth.audiences') return { kind: 'claim', path: ['aud'] };
  if (key === 'request.auth.presenter') return { kind: 'claim', path: ['azp'] };
  const claims = /^request\.auth\.claims((?:\[[^[\]]+\])+)$/.exec(key)?.[1];
  if (claims !== undefined) return { kind: 'claim', path: claims.slice(1, -1).split('][') };
  const [, filter, inner] = /^experimental\.(envoy\.filters\.[^[]+)\[([^\]]+)\]$/.exec(key) ?? [];
  return filter === undefined ? { kind: 'unknown' } : { kind: 'metadata', filter, key: inner! };
}

function port(text: string): Message | undefined {
  const number = Number(text);
  return /^\d{1,5}$/.test(text) && number >= 1 && number <= 65_535 ? { destination_port: number } : undefined;
}

function wrap(field: string, message: Message | undefined): Message | undefined {
  return message && { [field]: message };
}

/** Of the connection itself: no header can change it. */
function sourceIp(text: string): Message | undefined {
  return wrap('source_ip', range(text));
}

/** As X-Forwarded-For says. */
function remoteIp(text: string): Message | undefined {
  return wrap('remote_ip', range(text));
}

function peer(string_match: Message): Message {
  return { filter_state: { key: peerPrincipal, string_match } };
}

function principal(value: string, { trustDomains }: RuleScope): Message {
  const scheme = 'spiffe://';
  if (value.startsWith('*')) return peer(value === '*' ? anyText : textMatcher(value));
  const slash = value.indexOf('/');
  const own = slash > 0 && trustDomains.includes(value.slice(0, slash));
  const names = own ? trustDomains.map((td) => td + value.slice(slash)) : [value];
  return some(
    names.map((n) => peer(textMatcher(n, scheme))),
    'ids',
  );
}

function namespace(value: string): Message {
  const text = value.split('*').map(quote).join('[^/]*');
  return peer(regex(`spiffe://[^/]+/ns/${text}/sa/.*`));
}

function account(value: string, scope: RuleScope): Message | undefined {
  const parts = value.split('/');
  if (parts.some((p) => p === '') || parts.length > 2) return undefined;
  const [ns, name] = parts.length === 2 ? [parts[0]!, parts[1]!] : [scope.namespace, parts[0]!];
  return peer(regex(`spiffe://[^/]+/ns/${quote(ns)}/sa/${quote(name)}`));
}

function trustDomain(value: string): Message {
  const text = value.split('*').map(quote).join('[^/]*');
  return peer(regex(`spiffe://${text}/.*`));
}

function tokenTest({ level, hasTokens }: RuleScope, convert: Convert): Convert | undefined {
  return level === 'http' && hasTokens ? convert : undefined;
}

/** Of a token that was verified: a claim is this, or a list that has it. */
function claim(path: readonly string[], value: string): Message {
  return claimMatching(path, textMatcher(value));
}

function claimMatching(path: readonly string[], string_match: Message): Message {
  const one = { string_match };
  return {
    filter: 'envoy.filters.http.jwt_authn',
    path: ['payload', ...path].map((key) => ({ key })),
    value: { or_match: { value_matchers: [one, { list_match: { one_of: one } }] } },
  };
}

/** `issuer/subject`; an issuer may have slashes, a subject has none. `*` at the beginning or at the end, or alone. */
function requestPrincipal(value: string): Message {
  const slash = value.lastIndexOf('/');
  const [issuer, subject] = slash < 0 ? [value, undefined] : [value.slice(0, slash), value.slice(slash + 1)];
  const both = (iss: Message, sub: Message): Message => ({
    and_ids: { ids: [{ metadata: claimMatching(['iss'], iss) }, { metadata: claimMatching(['sub'], sub) }] },
  });
  if (value === '*') return both(anyText, anyText);
  if (value.startsWith('*')) {
    return subject === undefined ? both(anyText, textMatcher(value)) : both(textMatcher(issuer), { exact: subject });
  }
  if (value.endsWith('*')) {
    return subject === undefined ? both(textMatcher(value), anyText) : both({ exact: issuer }, textMatcher(subject));
  }
  return both({ exact: issuer }, { exact: subject ?? '' });
}

/** `[v]`: one of a list is it. */
function metadata(filter: string, key: string, value: string): Message {
  const inList = /^\[(.*)\]$/.exec(value)?.[1];
  const match = (text: string) => ({ string_match: textMatcher(text) });
  const of = inList === undefined ? match(value) : { list_match: { one_of: match(inList) } };
  return { metadata: { filter, path: [{ key }], value: of } };
}
