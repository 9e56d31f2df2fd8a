/** Of which time the lines of logs are. Pure. */
import { parseDuration } from '../../common/config/duration.ts';
import { UsageError } from '../arguments.ts';

/** ms since 1970; undefined: no bound. */
export interface Span {
  readonly from: number | undefined;
  readonly to: number | undefined;
}

/** By --start-time or --duration, and --end-time (default now). UsageError. */
export function spanOf(
  values: {
    readonly 'start-time'?: string | undefined;
    readonly 'end-time'?: string | undefined;
    readonly duration?: string | undefined;
  },
  now: number,
): Span {
  const to = timeOf('--end-time', values['end-time']);
  const from = timeOf('--start-time', values['start-time']);
  if (values.duration === undefined) return { from, to };
  if (from !== undefined) throw new UsageError('--start-time and --duration do not go together');
  const ms = parseDuration(values.duration);
  if (ms !== undefined) return { from: (to ?? now) - ms, to };
  throw new UsageError(`--duration: ${JSON.stringify(values.duration)}: expected a duration such as 30m or 1h`);
}

function timeOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new UsageError(`${option}: ${JSON.stringify(text)}: expected a time such as 2026-01-31T12:00:00Z`);
}

/** Lines that begin with a time of the span; a line without one belongs to what is before it. */
export function within(span: Span, log: string): string {
  if (span.to === undefined) return log;
  let kept = true;
  return log
    .split('\n')
    .filter((line) => {
      const at = Date.parse(line.slice(0, line.indexOf(' ')));
      if (!Number.isNaN(at)) kept = at <= span.to!;
      return kept;
    })
    .join('\n');
}
