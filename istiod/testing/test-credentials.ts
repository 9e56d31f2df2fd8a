/** Secrets and readers from maps. Only for tests. */
import type { Ip } from '../../common/core/net.ts';
import type { Credentials, Looked } from '../envoy/credentials.ts';
import { type FoundKeys, type KeySource, lookupOf } from '../jwks/resolver.ts';
import { codeOf, type FoundModule, type ModuleSource } from '../modules/resolver.ts';

export class TestCredentials implements Credentials {
  /** By `namespace/name`, then by key. */
  readonly secrets = new Map<string, Readonly<Record<string, string>>>();
  /** `namespace/account`. */
  readonly readers = new Set<string>();
  /** By `lookupOf`. */
  readonly issuers = new Map<string, string>();
  /** Text of files by URL, or `namespace/name/key`. */
  readonly modules = new Map<string, string>();
  /** Addresses of gateways by name. */
  readonly gateways = new Map<string, readonly Ip[]>();
  isPending = false;

  secret(namespace: string, name: string): Looked<ReadonlyMap<string, Buffer> | undefined> {
    if (this.isPending) return { kind: 'pending' };
    const data = this.secrets.get(`${namespace}/${name}`);
    const value = data && new Map(Object.entries(data).map(([key, text]) => [key, Buffer.from(text)]));
    return { kind: 'found', value };
  }

  mayList(namespace: string, account: string): Looked<boolean> {
    return this.isPending ? { kind: 'pending' } : { kind: 'found', value: this.readers.has(`${namespace}/${account}`) };
  }

  module(source: ModuleSource): Looked<FoundModule> {
    const at = source.kind === 'https' ? source.url : `${source.namespace}/${source.name}/${source.key}`;
    const text = this.modules.get(at);
    const none: FoundModule = { kind: 'none', problem: 'nobody answers' };
    return { kind: 'found', value: text === undefined ? none : codeOf(text, at, source.sha256) };
  }

  gateway(hostname: string): Looked<readonly Ip[]> {
    return this.isPending ? { kind: 'pending' } : { kind: 'found', value: this.gateways.get(hostname) ?? [] };
  }

  keys(source: KeySource): Looked<FoundKeys> {
    const keys = this.issuers.get(lookupOf(source));
    return { kind: 'found', value: { keys, problem: keys === undefined ? 'nobody answers' : undefined } };
  }
}
