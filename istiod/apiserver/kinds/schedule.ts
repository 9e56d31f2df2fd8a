/** When a CronJob is due: five fields as in crontab(5), one of the names for them, or `@every`. Pure. */

export type Schedule =
  /** Ms. */
  | { readonly kind: 'every'; readonly period: number }
  | {
      readonly kind: 'fields';
      readonly minutes: ReadonlySet<number>;
      readonly hours: ReadonlySet<number>;
      readonly days: ReadonlySet<number>;
      /** 1 to 12. */
      readonly months: ReadonlySet<number>;
      /** 0 is Sunday. */
      readonly weekdays: ReadonlySet<number>;
      /** Days of the month and of the week that are both named: one of them is enough. */
      readonly eitherDay: boolean;
    };

const monthNames = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** Lowest, highest, names. */
const ranges: readonly (readonly [number, number, readonly string[]])[] = [
  [0, 59, []],
  [0, 23, []],
  [1, 31, []],
  [1, 12, monthNames],
  [0, 6, weekdayNames],
];

const named: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** undefined: it is none. */
export function parseSchedule(text: string): Schedule | undefined {
  const every = /^@every ((?:\d+(?:\.\d+)?(?:h|ms|m|s))+)$/.exec(text)?.[1];
  if (every !== undefined) {
    const parts = [...every.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)];
    const period = parts.reduce((sum, [, n, unit]) => sum + Number(n) * units[unit!]!, 0);
    // Whole seconds, and never more often than each.
    return { kind: 'every', period: Math.max(1000, Math.floor(period / 1000) * 1000) };
  }
  const parts = (Object.hasOwn(named, text) ? named[text]! : text).trim().split(/\s+/);
  if (parts.length !== 5) return undefined;
  const sets = parts.map((part, i) => parseField(part, ranges[i]!));
  const [minutes, hours, days, months, weekdays] = sets;
  if (!minutes || !hours || !days || !months || !weekdays) return undefined;
  const isAny = (part: string) => /^[*?]/.test(part);
  return { kind: 'fields', minutes, hours, days, months, weekdays, eitherDay: !isAny(parts[2]!) && !isAny(parts[4]!) };
}

function parseField(text: string, [low, high, names]: (typeof ranges)[number]): ReadonlySet<number> | undefined {
  const set = new Set<number>();
  for (const part of text.toLowerCase().split(',')) {
    const m = /^(?:(\*|\?)|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(part);
    if (m === null || m[4] === '0') return undefined;
    const value = (t: string) =>
      names.includes(t) ? names.indexOf(t) + low : /^\d+$/.test(t) ? Number(t) : Number.NaN;
    const from = m[1] !== undefined ? low : value(m[2]!);
    // `5/10` goes on to the end.
    const to = m[1] !== undefined || (m[3] === undefined && m[4] !== undefined) ? high : value(m[3] ?? m[2]!);
    if (!(from >= low && to <= high && from <= to)) return undefined;
    for (let n = from; n <= to; n += Number(m[4] ?? 1)) set.add(n);
  }
  return set;
}

const minute = 60_000;
const years = 5;

/** The first time after `after` (ms); undefined: none within five years. `zone`: of the IANA database. */
export function nextTime(schedule: Schedule, after: number, zone: string): number | undefined {
  if (schedule.kind === 'every') return Math.floor(after / 1000) * 1000 + schedule.period;
  const clock = new WallClock(zone);
  const end = after + years * 366 * 24 * 60 * minute;
  let at = Math.floor(after / minute) * minute + minute;
  while (at < end) {
    const now = clock.at(at);
    if (!isDay(schedule, now)) {
      // By hours towards the end of the day: days have 23 to 25 of them.
      const hours = now.hour < 22 ? 22 - now.hour : 1;
      at += (hours * 60 - now.minute) * minute;
    } else if (!schedule.hours.has(now.hour)) at += (60 - now.minute) * minute;
    else if (!schedule.minutes.has(now.minute)) at += minute;
    else return at;
  }
  return undefined;
}

function isDay(schedule: Schedule & { kind: 'fields' }, { month, day, weekday }: Wall): boolean {
  if (!schedule.months.has(month)) return false;
  const [ofMonth, ofWeek] = [schedule.days.has(day), schedule.weekdays.has(weekday)];
  return schedule.eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek;
}

interface Wall {
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
}

class WallClock {
  readonly #format: Intl.DateTimeFormat;

  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      month: 'numeric',
      day: 'numeric',
      weekday: 'short',
      hour: 'numeric',
      minute: 'numeric',
    });
  }

  at(ms: number): Wall {
    const parts = new Map(this.#format.formatToParts(ms).map((p) => [p.type, p.value]));
    const number = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type));
    const weekday = weekdayNames.indexOf(parts.get('weekday')!.toLowerCase());
    return { month: number('month'), day: number('day'), weekday, hour: number('hour'), minute: number('minute') };
  }
}
