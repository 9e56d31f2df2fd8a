/**
 * kubectl's configuration file (kubernetes.io/docs/reference/config-api/kubeconfig.v1), read here because @kubernetes/client-node
 * loads all its models for it: 89 MB of memory. What is not supported is refused by name, for another user would ask.
 */
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { describeError, MeshError } from '../../core/errors.ts';
import { isObject } from '../schema/validate.ts';
import { type ApiAccess, type Credentials, type Impersonation, readText } from './access.ts';
import { type ExecPlugin, execVersions } from './exec/exec-credentials.ts';

export interface KubeconfigChoice {
  /** Default: current-context of the first file that has one. */
  readonly context?: string | undefined;
}

/** `paths` as KUBECONFIG has them, with colons between: of two entries of a name the first counts. MeshError CONFIG. */
export function loadKubeconfig(paths: string, choice: KubeconfigChoice = {}): ApiAccess {
  const files = paths
    .split(':')
    .filter((path) => path !== '')
    .map((path) => parseFile(path, readText(path, 'the kubeconfig')));
  if (files.length === 0) throw new MeshError('CONFIG', 'the kubeconfig is not named');
  return accessOf(paths, files, choice);
}

/**
 * One that a stranger to this machine wrote: `place` is for messages. What would read files here, start programs, trust any certificate or
 * act as somebody else is refused. MeshError CONFIG.
 */
export function parseRemoteKubeconfig(place: string, text: string): ApiAccess {
  const access = accessOf(place, [{ ...parseFile(place, text), folder: undefined }], {});
  if (access.credentials.kind === 'exec')
    throw new MeshError('CONFIG', `${place}: exec is not allowed here; use a token or a client certificate`);
  if (access.impersonate)
    throw new MeshError('CONFIG', `${place}: as is not allowed here; use the user's own credentials`);
  if (access.insecure)
    throw new MeshError(
      'CONFIG',
      `${place}: insecure-skip-tls-verify is not allowed here; use certificate-authority-data`,
    );
  if (access.server.protocol !== 'https:')
    throw new MeshError('CONFIG', `${place}: server is ${access.server.href}, expected an https:// URL`);
  return access;
}

interface ConfigFile {
  /** undefined: it may name no files. */
  readonly folder: string | undefined;
  readonly content: Readonly<Record<string, unknown>>;
}

function parseFile(path: string, text: string): ConfigFile {
  try {
    const content: unknown = parse(text);
    if (isObject(content)) return { folder: dirname(resolve(path)), content };
  } catch (e) {
    throw new MeshError('CONFIG', `${path}: not valid YAML: ${describeError(e)}`, { cause: e });
  }
  throw new MeshError('CONFIG', `${path}: expected a mapping with clusters, users and contexts`);
}

function accessOf(paths: string, files: readonly ConfigFile[], { context: asked }: KubeconfigChoice): ApiAccess {
  const current = files.map((f) => f.content['current-context']).find((c) => typeof c === 'string' && c !== '');
  const name = asked ?? current;
  if (typeof name !== 'string') throw new MeshError('CONFIG', `${paths}: current-context is not set`);
  const context = entryOf(paths, files, 'contexts', 'context', name);
  const cluster = entryOf(paths, files, 'clusters', 'cluster', context.required('cluster'));
  const userName = context.text('user');
  const user = userName === undefined ? undefined : entryOf(paths, files, 'users', 'user', userName);
  const server = URL.parse(cluster.required('server'));
  if (server === null || !/^https?:$/.test(server.protocol)) throw cluster.mistake('server', 'is not an https:// URL');
  const proxyUrl = cluster.text('proxy-url');
  const proxy = proxyUrl === undefined ? undefined : URL.parse(proxyUrl);
  if (proxy === null || (proxy && !/^https?:$/.test(proxy.protocol)))
    throw cluster.mistake('proxy-url', 'is not an http:// or https:// URL');
  return {
    server,
    proxy,
    ca: cluster.data('certificate-authority'),
    insecure: cluster.flag('insecure-skip-tls-verify'),
    serverName: cluster.text('tls-server-name'),
    credentials: user === undefined ? { kind: 'none' } : credentialsOf(user, cluster),
    impersonate: user && impersonationOf(user),
    namespace: context.text('namespace') ?? 'default',
  };
}

function credentialsOf(user: Entry, cluster: Entry): Credentials {
  user.refuse('auth-provider', 'username', 'password', 'as-user-extra');
  const token = user.text('token');
  const tokenFile = user.text('tokenFile');
  const certificate = user.data('client-certificate');
  const key = user.data('client-key');
  // A token in a file goes first, as in client-go.
  if (tokenFile !== undefined) return { kind: 'tokenFile', path: user.path('tokenFile', tokenFile) };
  if (token !== undefined) return { kind: 'token', token };
  if (certificate !== undefined && key !== undefined) return { kind: 'certificate', certificate, key };
  if (certificate === undefined && key === undefined) {
    const exec = user.section('exec');
    return exec ? { kind: 'exec', plugin: pluginOf(exec, cluster) } : { kind: 'none' };
  }
  throw user.mistake('client-certificate', 'and client-key belong together');
}

function impersonationOf(user: Entry): Impersonation | undefined {
  const [name, groups, uid] = [user.text('as'), user.texts('as-groups'), user.text('as-uid')];
  if (name !== undefined) return { user: name, groups, uid };
  if (groups.length > 0 || uid !== undefined) throw user.mistake('as', 'is not set, and as-groups and as-uid need it');
  return undefined;
}

function pluginOf(exec: Entry, cluster: Entry): ExecPlugin {
  const apiVersion = exec.required('apiVersion');
  if (!execVersions.includes(apiVersion))
    throw exec.mistake('apiVersion', `is ${JSON.stringify(apiVersion)}, expected ${execVersions.join(' or ')}`);
  if (exec.text('interactiveMode') === 'Always')
    throw exec.mistake('interactiveMode', 'is Always, and nobody sits here to answer; use IfAvailable or Never');
  const command = exec.required('command');
  const ca = cluster.data('certificate-authority');
  const told = {
    server: cluster.required('server'),
    ...(cluster.text('tls-server-name') && { 'tls-server-name': cluster.text('tls-server-name') }),
    ...(cluster.flag('insecure-skip-tls-verify') && { 'insecure-skip-tls-verify': true }),
    ...(ca !== undefined && { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
    ...(cluster.text('proxy-url') && { 'proxy-url': cluster.text('proxy-url') }),
  };
  return {
    apiVersion,
    // A name is found in PATH.
    command: command.includes('/') ? exec.path('command', command) : command,
    args: exec.texts('args'),
    env: exec.pairs('env'),
    installHint: exec.text('installHint'),
    cluster: exec.flag('provideClusterInfo') ? told : undefined,
  };
}

/** One named cluster, user or context, or a part of one. */
class Entry {
  readonly folder: string | undefined;
  readonly #place: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(place: string, folder: string | undefined, fields: Readonly<Record<string, unknown>>) {
    this.#place = place;
    this.folder = folder;
    this.#fields = fields;
  }

  mistake(field: string, text: string): MeshError {
    return new MeshError('CONFIG', `${this.#place}: ${field} ${text}`);
  }

  /** An empty text counts as absent. */
  text(field: string): string | undefined {
    const value = this.#fields[field];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value !== 'string') throw this.mistake(field, 'is not a text');
    return value;
  }

  required(field: string): string {
    const value = this.text(field);
    if (value === undefined) throw this.mistake(field, 'is not set');
    return value;
  }

  texts(field: string): readonly string[] {
    const value = this.#fields[field] ?? [];
    if (!Array.isArray(value) || !value.every((v) => typeof v === 'string'))
      throw this.mistake(field, 'is not a list of texts');
    return value as readonly string[];
  }

  /** A list of mappings with name and value. */
  pairs(field: string): Readonly<Record<string, string>> {
    const value = this.#fields[field] ?? [];
    const isPair = (v: unknown) => isObject(v) && typeof v['name'] === 'string' && typeof v['value'] === 'string';
    if (!Array.isArray(value) || !value.every(isPair)) throw this.mistake(field, 'is not a list of names and values');
    return Object.fromEntries(value.map((v: { name: string; value: string }) => [v.name, v.value]));
  }

  section(field: string): Entry | undefined {
    const value = this.#fields[field];
    if (value === undefined || value === null) return undefined;
    if (!isObject(value)) throw this.mistake(field, 'is not a mapping');
    return new Entry(`${this.#place}: ${field}`, this.folder, value);
  }

  flag(field: string): boolean {
    const value = this.#fields[field] ?? false;
    if (typeof value !== 'boolean') throw this.mistake(field, 'is not true or false');
    return value;
  }

  /** `<field>-data` in base64, or the file that `<field>` names. */
  data(field: string): string | undefined {
    const encoded = this.text(`${field}-data`);
    if (encoded !== undefined) {
      const text = Buffer.from(encoded, 'base64').toString('utf8');
      if (!text.includes('-----BEGIN ')) throw this.mistake(`${field}-data`, 'is not PEM in base64');
      return text;
    }
    const path = this.text(field);
    return path === undefined ? undefined : readText(this.path(field, path), `${field} of ${this.#place}`);
  }

  /** Beside the file that names it. */
  path(field: string, path: string): string {
    if (this.folder === undefined)
      throw this.mistake(field, `names a file, which is not allowed here; use ${field}-data or token`);
    return resolve(this.folder, path);
  }

  refuse(...fields: readonly string[]): void {
    const found = fields.find((field) => this.#fields[field] !== undefined && this.#fields[field] !== null);
    if (found === undefined) return;
    throw this.mistake(found, 'is not supported; use a token, a tokenFile or a client certificate');
  }
}

function entryOf(paths: string, files: readonly ConfigFile[], list: string, field: string, name: string): Entry {
  for (const { folder, content } of files) {
    const entries = content[list] ?? [];
    if (!Array.isArray(entries)) throw new MeshError('CONFIG', `${paths}: ${list} is not a list`);
    for (const entry of entries as unknown[]) {
      if (!isObject(entry) || entry['name'] !== name) continue;
      const fields = entry[field] ?? {};
      if (!isObject(fields)) throw new MeshError('CONFIG', `${paths}: ${field} "${name}" is not a mapping`);
      return new Entry(`${paths}: ${field} "${name}"`, folder, fields);
    }
  }
  throw new MeshError('CONFIG', `${paths}: ${list} has no entry "${name}"`);
}
