/**
 * Secrets that are files of the pod, by the names that Istio has for them: `file-cert:CHAIN~KEY`, `file-root:PATH`, and
 * `file-root:system` for what the operating system trusts. Files are looked at again every 5 s.
 */
import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';

export type FileSecret =
  | { readonly kind: 'certificate'; readonly chain: Buffer; readonly key: Buffer }
  | { readonly kind: 'roots'; readonly pem: Buffer };

type Place =
  | { readonly kind: 'certificate'; readonly chain: string; readonly key: string }
  | { readonly kind: 'roots'; readonly path: string };

const look = millis(5_000);

/** undefined: it is no name of files. */
export function placeOf(name: string): Place | undefined {
  const [, chain, key] = /^file-cert:([^~]+)~([^~]+)$/.exec(name) ?? [];
  if (chain !== undefined && key !== undefined) return { kind: 'certificate', chain, key };
  const [, path] = /^file-root:(.+)$/.exec(name) ?? [];
  return path === undefined ? undefined : { kind: 'roots', path };
}

export interface FileSecretsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Each secret that could be read for the first time, or anew. */
  readonly changed: (name: string, secret: FileSecret) => void;
}

export class FileSecrets {
  readonly #options: FileSecretsOptions;
  /** What was read last, or why it was not, as text. */
  readonly #known = new Map<string, { secret: FileSecret | undefined; told: string }>();
  #timer: Timer | undefined;

  constructor(options: FileSecretsOptions) {
    this.#options = options;
  }

  /** Names of other secrets are none of ours. */
  want(name: string): void {
    if (this.#known.has(name) || !placeOf(name)) return;
    this.#known.set(name, { secret: undefined, told: '' });
    this.#look(name);
    this.#timer ??= this.#options.clock.after(look, () => this.#lookAtAll());
  }

  get(name: string): FileSecret | undefined {
    return this.#known.get(name)?.secret;
  }

  close(): void {
    this.#timer?.cancel();
  }

  #lookAtAll(): void {
    for (const name of this.#known.keys()) this.#look(name);
    this.#timer = this.#options.clock.after(look, () => this.#lookAtAll());
  }

  #look(name: string): void {
    const known = this.#known.get(name)!;
    let secret: FileSecret;
    try {
      secret = readSecret(placeOf(name)!);
    } catch (e) {
      // The last good one stays; said once.
      const told = describeError(e);
      if (told !== known.told) this.#options.log.warn('a secret cannot be read', { secret: name, error: told });
      known.told = told;
      return;
    }
    const told = secret.kind === 'roots' ? secret.pem.toString() : `${secret.chain}\n${secret.key}`;
    if (told === known.told) return;
    Object.assign(known, { secret, told });
    this.#options.changed(name, secret);
  }
}

function readSecret(place: Place): FileSecret {
  if (place.kind === 'certificate') {
    return { kind: 'certificate', chain: readFileSync(place.chain), key: readFileSync(place.key) };
  }
  const pem = place.path === 'system' ? Buffer.from(getCACertificates('system').join('\n')) : readFileSync(place.path);
  return { kind: 'roots', pem };
}
