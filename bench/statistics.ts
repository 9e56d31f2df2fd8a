/** Medians and percentiles of measured values. */

/** The middle value, or the mean of the two in the middle. Throws on an empty list. */
export function median(values: readonly number[]): number {
  return (percentile(values, 50, 'lower') + percentile(values, 50, 'upper')) / 2;
}

/** Nearest rank: the smallest value that at least `p` per cent of all do not exceed. Throws on an empty list. */
export function percentile(values: readonly number[], p: number, half: 'lower' | 'upper' = 'lower'): number {
  if (values.length === 0) throw new Error('no values were measured');
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (p / 100) * sorted.length;
  const index = half === 'upper' && Number.isInteger(rank) ? rank : Math.ceil(rank) - 1;
  return sorted[Math.min(Math.max(index, 0), sorted.length - 1)]!;
}
