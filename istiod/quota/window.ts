/** Windows in which requests are counted: fixed ones, by the calendar in UTC, so that everybody knows when a quota comes back. */
export type Unit = 'SECOND' | 'MINUTE' | 'HOUR' | 'DAY' | 'MONTH' | 'YEAR';

/** Seconds since the epoch; the end is of the next window. */
export interface Window {
  readonly start: number;
  readonly end: number;
}

const lengths = { SECOND: 1, MINUTE: 60, HOUR: 3_600, DAY: 86_400 } as const;

/** The window of `unit` that holds `at`, in seconds. */
export function windowAt(unit: Unit, at: number): Window {
  if (unit === 'MONTH' || unit === 'YEAR') {
    const date = new Date(at * 1_000);
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
    const next = unit === 'MONTH' ? Date.UTC(year, month + 1) : Date.UTC(year + 1, 0);
    return { start: Date.UTC(year, unit === 'MONTH' ? month : 0) / 1_000, end: next / 1_000 };
  }
  const start = Math.floor(at / lengths[unit]) * lengths[unit];
  return { start, end: start + lengths[unit] };
}

/** Whether its counts are on the disk before anybody is answered. What lasts a minute or less begins anew with the process. */
export function isDurable(unit: Unit): boolean {
  return unit !== 'SECOND' && unit !== 'MINUTE';
}
