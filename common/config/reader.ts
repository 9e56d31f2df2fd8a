/**
 * Settings of a program, from its environment and flags. A reader is asked for one after another; what is wrong is remembered,
 * so that all mistakes are told together.
 */
import type { Millis } from '../core/brand.ts';
import { LogLevels, type LogSink, stdoutSink } from '../core/log.ts';
import { type Ip, type Port, parseIp, parsePort } from '../core/net.ts';
import { parseDuration } from './duration.ts';
import { type ListenAddress, parseListenAddress } from './listen-address.ts';

/** Names of variables, and of flags with their dashes. */
export type Settings = Readonly<Record<string, string | undefined>>;

export type ConfigResult<T> =
  | { readonly kind: 'ok'; readonly config: T; readonly sink: LogSink }
  | { readonly kind: 'invalid'; readonly errors: readonly string[] };

/**
 * What a method cannot return it reports, and returns undefined, as for a setting that is absent: the caller adds the default.
 * An empty variable counts as absent.
 */
export class SettingsReader {
  readonly #settings: Settings;
  readonly #errors: string[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** As it is, even when it is empty. */
  given(name: string): string | undefined {
    return this.#settings[name];
  }

  text(name: string): string | undefined {
    const value = this.#settings[name];
    return value === '' && !name.startsWith('--') ? undefined : value;
  }

  /** The first that is present; the last when none is. */
  first(...names: readonly string[]): string {
    return names.find((name) => this.text(name) !== undefined) ?? names[names.length - 1]!;
  }

  /** A mistake that no method knows of. */
  mistake(error: string): void {
    this.#errors.push(error);
  }

  parsed<T>(name: string, parse: (text: string) => T | undefined, expected: string): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) this.mistake(`${name}=${shown(text)}: expected ${expected}`);
    return value;
  }

  /** `meaning` tells what to set. Empty when it is absent. */
  required(name: string, meaning: string): string {
    const value = this.text(name);
    if (value === undefined) this.mistake(`${name} is not set: ${meaning}`);
    return value ?? '';
  }

  /** In any case of letters. */
  choice<T extends string>(name: string, values: readonly T[]): T | undefined {
    return this.parsed(name, (text) => values.find((v) => v === text.toLowerCase()), `one of ${values.join(', ')}`);
  }

  boolean(name: string): boolean | undefined {
    const value = this.choice(name, ['true', 'false']);
    return value === undefined ? undefined : value === 'true';
  }

  /** Decimal; both ends are allowed. */
  integer(name: string, min: number, max: number): number | undefined {
    const parse = (text: string) => {
      const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
      return value >= min && value <= max ? value : undefined;
    };
    return this.parsed(name, parse, `a whole number from ${min} to ${max}`);
  }

  duration(name: string, min = 0): Millis | undefined {
    const parse = (text: string) => {
      const value = parseDuration(text);
      return value !== undefined && value >= min ? value : undefined;
    };
    return this.parsed(name, parse, `a duration such as 500ms, 30s, 90m or 24h${min > 0 ? `, at least ${min}ms` : ''}`);
  }

  ip(name: string): Ip | undefined {
    return this.parsed(name, parseIp, 'an IP address');
  }

  port(name: string): Port | undefined {
    return this.parsed(name, parsePort, 'a port from 0 to 65535');
  }

  listenAddress(name: string): ListenAddress | undefined {
    return this.parsed(name, parseListenAddress, 'ADDRESS:PORT or :PORT');
  }

  absolutePath(name: string): string | undefined {
    return this.parsed(name, (text) => (text.startsWith('/') ? text : undefined), 'an absolute path');
  }

  /** Reads the settings of the log too (RUST_LOG, LOG_FORMAT), which every program has; then tells all that was wrong. */
  finish<T>(config: T): ConfigResult<T> {
    const expected = 'off, error, warn, info, debug or trace, for some targets another one: info,access=debug';
    const levels = this.parsed('RUST_LOG', parseLevels, expected) ?? new LogLevels();
    const format = this.choice('LOG_FORMAT', ['plain', 'json']) ?? 'plain';
    const errors = this.#errors;
    return errors.length > 0 ? { kind: 'invalid', errors } : { kind: 'ok', config, sink: stdoutSink(levels, format) };
  }
}

function parseLevels(text: string): LogLevels | undefined {
  try {
    return new LogLevels(text);
  } catch {
    return undefined;
  }
}

/** Quoted where it could be taken for another text, or for another line. */
function shown(value: string): string {
  return /^[!-~]+$/.test(value) ? value : JSON.stringify(value);
}

/** The parts between commas, without spaces around them and without empty ones. */
export function splitList(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** One mistake a line on stderr. Programs then exit with 2. */
export function reportMistakes(program: string, errors: readonly string[]): void {
  for (const error of errors) process.stderr.write(`${program}: ${error}\n`);
}
