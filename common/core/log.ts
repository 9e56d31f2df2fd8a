/**
 * Structured log lines as ztunnel writes them (ambient-wire 7.2): `<RFC 3339>\t<level>\t<target>\t<message and fields>`, or one
 * JSON object a line with LOG_FORMAT=json. Levels come from RUST_LOG: `info`, or `info,access=debug,dns=off`. Targets may have the
 * name of Istio's crate before them: `ztunnel::access` is `access`, `ztunnel` alone is everything.
 */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Logger {
  enabled(level: LogLevel): boolean;
  log(level: LogLevel, message: string, fields?: LogFields): void;
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const order = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, off: 5 } as const;
type Threshold = keyof typeof order;

/** Which level each target has; changed at run time by `POST /logging`. */
export class LogLevels {
  #default: Threshold;
  readonly #targets = new Map<string, Threshold>();
  /** Of targets that were asked for. */
  readonly #known = new Map<string, Threshold>();
  readonly #initial: string;

  /** Throws on a level that does not exist, naming it. */
  constructor(directives = 'info') {
    this.#initial = directives;
    this.#default = 'info';
    this.apply(directives);
  }

  apply(directives: string): void {
    this.#known.clear();
    for (const part of directives.split(',').map((s) => s.trim())) {
      if (part === '') continue;
      const eq = part.lastIndexOf('=');
      const level = part.slice(eq + 1).toLowerCase();
      if (!(level in order)) {
        throw new Error(`log level "${level}" does not exist; use off, error, warn, info, debug or trace`);
      }
      const target = eq < 0 ? 'ztunnel' : part.slice(0, eq);
      if (target === 'ztunnel') this.#default = level as Threshold;
      else this.#targets.set(target.replace(/^ztunnel::(?:.*::)?/, ''), level as Threshold);
    }
  }

  reset(): void {
    this.#targets.clear();
    this.#default = 'info';
    this.apply(this.#initial);
  }

  /** A target without a level of its own has that of the one around it: `a::b` that of `a`. */
  enabled(target: string, level: LogLevel): boolean {
    let threshold = this.#known.get(target);
    if (threshold === undefined) {
      threshold = this.#thresholdOf(target);
      this.#known.set(target, threshold);
    }
    return order[level] >= order[threshold];
  }

  #thresholdOf(target: string): Threshold {
    const found = this.#targets.get(target);
    if (found !== undefined) return found;
    const end = target.lastIndexOf('::');
    return end < 0 ? this.#default : this.#thresholdOf(target.slice(0, end));
  }

  toString(): string {
    return [this.#default, ...[...this.#targets].map(([t, l]) => `${t}=${l}`)].join(',');
  }
}

export type LogFormat = 'plain' | 'json';

export interface LogSink {
  readonly levels: LogLevels;
  readonly format: LogFormat;
  write(line: string): void;
}

/** ms that a line may wait for others, so that a busy proxy does not make a system call for each. */
const flushDelay = 10;

export function stdoutSink(levels = new LogLevels(), format: LogFormat = 'plain'): LogSink {
  let waiting = '';
  const flush = () => {
    if (waiting === '') return;
    process.stdout.write(waiting);
    waiting = '';
  };
  let used = false;
  return {
    levels,
    format,
    write(line) {
      // Files and pipes are written synchronously, so nothing is lost at an exit, also not at an uncaught error.
      if (!used) process.once('exit', flush);
      used = true;
      if (waiting === '') setTimeout(flush, flushDelay).unref();
      waiting += `${line}\n`;
    },
  };
}

export function createLogger(sink: LogSink, target: string): Logger {
  const log = (level: LogLevel, message: string, fields: LogFields = {}) => {
    if (!sink.levels.enabled(target, level)) return;
    sink.write(formatLine(sink.format, new Date().toISOString(), level, target, message, fields));
  };
  return {
    enabled: (level) => sink.levels.enabled(target, level),
    log,
    trace: (m, f) => log('trace', m, f),
    debug: (m, f) => log('debug', m, f),
    info: (m, f) => log('info', m, f),
    warn: (m, f) => log('warn', m, f),
    error: (m, f) => log('error', m, f),
  };
}

export const silentLogger: Logger = createLogger(
  { levels: new LogLevels('off'), format: 'plain', write: () => undefined },
  'silent',
);

function formatLine(
  format: LogFormat,
  time: string,
  level: LogLevel,
  target: string,
  message: string,
  fields: LogFields,
): string {
  if (format === 'json') return JSON.stringify({ level, time, scope: target, message, ...fields });
  let line = `${time}\t${level}\t${target}\t${message}`;
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) line += ` ${key}=${typeof value === 'string' ? quote(value) : value}`;
  }
  return line;
}

/** Printable ASCII but for the quote and the backslash. */
const plain = /^[ !#-[\]-~]*$/;

/** Peers choose some of these strings: control characters must not forge a line. */
function quote(v: string): string {
  return plain.test(v) ? `"${v}"` : JSON.stringify(v);
}
