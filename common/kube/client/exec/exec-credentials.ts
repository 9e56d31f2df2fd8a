/** Credentials that a program gives (client.authentication.k8s.io, kubernetes.io/docs/reference/access-authn-authz/authentication). */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Clock } from '../../../core/clock.ts';
import { describeError, MeshError } from '../../../core/errors.ts';
import { isCode } from '../../../core/files.ts';
import { isObject } from '../../schema/validate.ts';
import { pluginEnvironment } from './config.ts';

export interface ExecPlugin {
  readonly apiVersion: string;
  /** A path, or a name to be found in PATH. */
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** How to get the command where it is missing. */
  readonly installHint: string | undefined;
  /** ExecCredential's spec.cluster; undefined where it shall not be told. */
  readonly cluster: Readonly<Record<string, unknown>> | undefined;
}

export const execVersions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];

export interface ExecCredential {
  readonly token: string | undefined;
  /** PEM. */
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  /** Ms since the epoch; undefined: as long as the server takes it. */
  readonly expires: number | undefined;
}

const run = promisify(execFile);
/** Ms that it may take: some ask a server that is far away. */
const timeout = 60_000;
/** Ms before its end at which a credential is asked for anew. */
const ahead = 10_000;

export class ExecCredentials {
  readonly #plugin: ExecPlugin;
  readonly #clock: Clock;
  #current: Promise<ExecCredential> | undefined;

  constructor(plugin: ExecPlugin, clock: Clock) {
    this.#plugin = plugin;
    this.#clock = clock;
  }

  /** Asks once for all that wait. MeshError API_UNAVAILABLE. */
  async get(): Promise<ExecCredential> {
    this.#current ??= this.#ask();
    const asked = this.#current;
    try {
      const credential = await asked;
      if (credential.expires === undefined || this.#clock.wall() < credential.expires - ahead) return credential;
    } catch (e) {
      if (this.#current === asked) this.#current = undefined;
      throw e;
    }
    if (this.#current === asked) this.#current = this.#ask();
    return this.#current ?? this.get();
  }

  /** The server did not take it: the next one is asked for anew. */
  refused(credential: ExecCredential): void {
    const asked = this.#current;
    void asked?.then(
      (now) => {
        if (now === credential && this.#current === asked) this.#current = undefined;
      },
      () => undefined,
    );
  }

  async #ask(): Promise<ExecCredential> {
    const { apiVersion, command, args, env, cluster } = this.#plugin;
    const spec = { interactive: false, ...(cluster && { cluster }) };
    const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
    try {
      const { stdout } = await run(command, args, {
        env: pluginEnvironment({ ...env, KUBERNETES_EXEC_INFO: info }),
        timeout,
        maxBuffer: 1024 * 1024,
      });
      return this.#read(stdout);
    } catch (e) {
      throw e instanceof MeshError ? e : this.#failed(e);
    }
  }

  #failed(e: unknown): MeshError {
    const { installHint } = this.#plugin;
    const { stderr = '', killed = false } = e as { readonly stderr?: string; readonly killed?: boolean };
    const said = stderr.trim().split('\n').at(-1) ?? '';
    const missing = isCode(e, 'ENOENT') ? `not found${installHint ? `; ${installHint}` : ''}` : undefined;
    const late = killed ? `no answer within ${timeout / 1000} s` : undefined;
    // describeError would show its arguments.
    const code = (e as { readonly code?: unknown }).code;
    return this.#mistake(missing ?? late ?? (said || `it ended with ${String(code)}`));
  }

  #read(text: string): ExecCredential {
    const { apiVersion } = this.#plugin;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (e) {
      throw this.#mistake(`what it wrote is not JSON: ${describeError(e)}`);
    }
    const status = isObject(value) ? value['status'] : undefined;
    if (
      !isObject(value) ||
      value['kind'] !== 'ExecCredential' ||
      value['apiVersion'] !== apiVersion ||
      !isObject(status)
    )
      throw this.#mistake(`what it wrote is no ExecCredential of ${apiVersion} with a status`);
    const field = (name: string) => {
      const v = status[name];
      return typeof v === 'string' && v !== '' ? v : undefined;
    };
    const [token, certificate, key] = [field('token'), field('clientCertificateData'), field('clientKeyData')];
    if ((certificate === undefined) !== (key === undefined))
      throw this.#mistake('clientCertificateData and clientKeyData belong together');
    if (token === undefined && certificate === undefined)
      throw this.#mistake('it gave neither a token nor a certificate');
    const until = field('expirationTimestamp');
    const expires = until === undefined ? undefined : Date.parse(until);
    if (Number.isNaN(expires)) throw this.#mistake(`expirationTimestamp ${JSON.stringify(until)} is no time`);
    return { token, certificate, key, expires };
  }

  #mistake(text: string): MeshError {
    return new MeshError('API_UNAVAILABLE', `the credentials' plugin ${this.#plugin.command}: ${text}`);
  }
}
