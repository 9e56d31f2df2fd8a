/**
 * `credentialName` of TLS settings: Secrets of Kubernetes as resources of SDS. A proxy gets those of its own namespace alone, keys only
 * where its account may list Secrets there; authorities of others are public (Istio's rules).
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Ip } from '../../common/core/net.ts';
import type { Typed } from '../../common/envoy/codec.ts';
import type { FoundKeys, KeySource } from '../jwks/resolver.ts';
import { type FoundModule, type ModuleSource, noModules } from '../modules/resolver.ts';
import type { MeshView } from './inputs.ts';
import { type Message, typed } from './values.ts';

/** What a lookup finds that takes a while when it is new. */
export type Looked<T> = { readonly kind: 'pending' } | { readonly kind: 'found'; readonly value: T };

/** Where Secrets come from. */
export interface Credentials {
  /** By key; value undefined: there is none, or istiod may not read it. */
  secret(namespace: string, name: string): Looked<ReadonlyMap<string, Buffer> | undefined>;
  /** Whether the service account may list the Secrets of its own namespace. */
  mayList(namespace: string, account: string): Looked<boolean>;
  /** Of an issuer of tokens. */
  keys(source: KeySource): Looked<FoundKeys>;
  /** A filter of a user's. */
  module(source: ModuleSource): Looked<FoundModule>;
  /** Of a gateway to another network that is known by a DNS name; none: the name has none, or nobody answers. */
  gateway(hostname: string): Looked<readonly Ip[]>;
}

/** Of an istiod that reads no Secrets, and asks nobody. */
export const noCredentials: Credentials = {
  secret: () => ({ kind: 'found', value: undefined }),
  mayList: () => ({ kind: 'found', value: false }),
  keys: () => ({ kind: 'found', value: { keys: undefined, problem: 'keys of issuers are fetched by istiod alone' } }),
  module: () => ({ kind: 'found', value: noModules() }),
  gateway: () => ({ kind: 'found', value: [] }),
};

/** Thrown where a lookup is not done yet: what asked is made anew when it is. */
export class Pending extends Error {}

/** Who asks. */
export interface Reader {
  readonly namespace: string;
  /** Of the token that it has shown; undefined: none, so it gets nothing. */
  readonly account: string | undefined;
}

/** A resource of SDS. */
export interface SecretPlan {
  /** `kubernetes://name`, with `-cacert` behind it for authorities. */
  readonly name: string;
  readonly kind: 'certificate' | 'authorities';
  /** Of the Secret, in the proxy's namespace. */
  readonly secret: string;
}

export type Credential =
  | { readonly kind: 'found'; readonly certificate?: SecretPlan; readonly authorities?: SecretPlan }
  | { readonly kind: 'refused'; readonly reason: string };

const scheme = 'kubernetes://';
const authoritiesSuffix = '-cacert';
const certificateKeys = [
  ['cert', 'key'],
  ['tls.crt', 'tls.key'],
] as const;
const authorityKeys = [
  ['cacert', 'crl'],
  ['ca.crt', 'ca.crl'],
] as const;

/** `certificate`, `authorities`: what of the two is wanted. Throws `Pending`. */
export function credentialOf(
  view: MeshView,
  reader: Reader,
  text: string,
  wanted: { readonly certificate: boolean; readonly authorities: boolean },
): Credential {
  const { namespace } = reader;
  const name = secretNameOf(text, namespace);
  const refused = (why: string): Credential => ({ kind: 'refused', reason: `credentialName ${text}: ${why}` });
  if (name === undefined) return refused(`expected the name of a Secret in namespace ${namespace}`);
  if (reader.account === undefined) return refused('only proxies that have shown a token get Secrets');
  if (wanted.certificate) {
    if (!view.readsSecrets(namespace, reader.account))
      return refused(
        `service account ${namespace}/${reader.account} may not list Secrets in ${namespace}: bind it a Role that lets it`,
      );
    const found = view.secret(namespace, name);
    if (found === undefined) return refused(`there is no Secret ${namespace}/${name}`);
    if (pick(found, certificateKeys) === undefined)
      return refused(`Secret ${namespace}/${name} has neither tls.crt and tls.key nor cert and key`);
  }
  if (wanted.authorities && authoritiesOf(view, namespace, name) === undefined)
    return refused(`neither Secret ${namespace}/${name}${authoritiesSuffix} nor ${name} has ca.crt or cacert`);
  return {
    kind: 'found',
    ...(wanted.certificate && { certificate: { name: `${scheme}${name}`, kind: 'certificate', secret: name } }),
    ...(wanted.authorities && {
      authorities: { name: `${scheme}${name}${authoritiesSuffix}`, kind: 'authorities', secret: name },
    }),
  };
}

/** Of a name that a proxy asks for. */
export function secretPlanOf(resource: string, namespace: string): SecretPlan | undefined {
  if (!resource.startsWith(scheme)) return undefined;
  const name = secretNameOf(resource, namespace);
  if (name === undefined) return undefined;
  return name.endsWith(authoritiesSuffix)
    ? { name: resource, kind: 'authorities', secret: name.slice(0, -authoritiesSuffix.length) }
    : { name: resource, kind: 'certificate', secret: name };
}

/** The resource; undefined: it is not there, or not for that proxy. Throws where its content is not what it has to be, and `Pending`. */
export function secretResource(view: MeshView, reader: Reader, plan: SecretPlan): Typed | undefined {
  const { namespace, account } = reader;
  if (account === undefined) return undefined;
  const resource = (fields: Message) =>
    typed('envoy.extensions.transport_sockets.tls.v3.Secret', { name: plan.name, ...fields });
  const bytes = (inline_bytes: Buffer) => ({ inline_bytes });
  if (plan.kind === 'authorities') {
    const found = authoritiesOf(view, namespace, plan.secret);
    if (found === undefined) return undefined;
    const [roots, crl] = found;
    checked(namespace, plan.secret, () => new X509Certificate(roots));
    return resource({ validation_context: { trusted_ca: bytes(roots), ...(crl && { crl: bytes(crl) }) } });
  }
  if (!view.readsSecrets(namespace, account)) return undefined;
  const data = view.secret(namespace, plan.secret);
  const pair = data && pick(data, certificateKeys);
  if (pair === undefined) return undefined;
  const [chain, key] = pair;
  checked(namespace, plan.secret, () => {
    if (!new X509Certificate(chain).checkPrivateKey(createPrivateKey(key!)))
      throw new Error('the key is not the one of the certificate');
  });
  return resource({ tls_certificate: { certificate_chain: bytes(chain), private_key: bytes(key!) } });
}

/** What is wrong with the content, which no proxy would take; undefined: nothing. */
export function contentFault(
  view: MeshView,
  reader: Reader,
  plans: readonly (SecretPlan | undefined)[],
): string | undefined {
  try {
    for (const plan of plans) if (plan) secretResource(view, reader, plan);
    return undefined;
  } catch (e) {
    if (e instanceof MeshError) return e.message;
    throw e;
  }
}

function checked(namespace: string, name: string, check: () => void): void {
  try {
    check();
  } catch (e) {
    throw new MeshError('CONFIG', `Secret ${namespace}/${name}: ${describeError(e)}`);
  }
}

/** In that namespace alone. */
function secretNameOf(text: string, namespace: string): string | undefined {
  const path = text.startsWith(scheme) ? text.slice(scheme.length) : text;
  const [first = '', second, ...more] = path.split('/');
  const name = second === undefined ? first : first === namespace ? second : '';
  return more.length === 0 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) ? name : undefined;
}

type Pair = readonly [Buffer, Buffer | undefined];

/** Of a Secret of their own, or of the one with the certificate. */
function authoritiesOf(view: MeshView, namespace: string, name: string): Pair | undefined {
  const own = view.secret(namespace, `${name}${authoritiesSuffix}`);
  const data = own ?? view.secret(namespace, name);
  return data && pick(data, authorityKeys, true);
}

function pick(
  data: ReadonlyMap<string, Buffer>,
  keys: readonly (readonly [string, string])[],
  firstIsEnough = false,
): Pair | undefined {
  for (const [first, second] of keys) {
    const [a, b] = [data.get(first), data.get(second)];
    if (a && a.length > 0 && (firstIsEnough || (b && b.length > 0))) return [a, b && b.length > 0 ? b : undefined];
  }
  return undefined;
}
