/** Which hosts did so badly in an interval that they stand out. Pure. */
import type { OutlierDetection } from '../config.ts';

export interface Rate {
  readonly total: number;
  readonly good: number;
}

/** Hosts without any request are out of consideration; `hosts` counts them all the same, for the minimum numbers. */
export function judge<H>(
  rates: ReadonlyMap<H, Rate>,
  hosts: number,
  { successRate, failurePercentage }: Pick<OutlierDetection, 'successRate' | 'failurePercentage'>,
): { readonly successRate: readonly H[]; readonly failurePercentage: readonly H[] } {
  if (hosts < successRate.minimumHosts && hosts < failurePercentage.minimumHosts) {
    return { successRate: [], failurePercentage: [] };
  }
  const withVolume = (volume: number) =>
    [...rates].flatMap(([host, { total, good }]) =>
      total > 0 && total >= volume ? [{ host, percent: (good * 100) / total }] : [],
    );
  return {
    successRate: belowOthers(withVolume(successRate.requestVolume), successRate),
    failurePercentage: failing(withVolume(failurePercentage.requestVolume), failurePercentage),
  };
}

interface Judged<H> {
  readonly host: H;
  readonly percent: number;
}

/** Below the mean by more than so many standard deviations. */
function belowOthers<H>(judged: readonly Judged<H>[], config: OutlierDetection['successRate']): readonly H[] {
  if (judged.length === 0 || judged.length < config.minimumHosts) return [];
  const mean = judged.reduce((sum, { percent }) => sum + percent, 0) / judged.length;
  const variance = judged.reduce((sum, { percent }) => sum + (percent - mean) ** 2, 0) / judged.length;
  const threshold = mean - (config.stdevFactor / 1_000) * Math.sqrt(variance);
  return judged.filter(({ percent }) => percent < threshold).map(({ host }) => host);
}

function failing<H>(judged: readonly Judged<H>[], config: OutlierDetection['failurePercentage']): readonly H[] {
  if (judged.length === 0 || judged.length < config.minimumHosts) return [];
  return judged.filter(({ percent }) => 100 - percent >= config.threshold).map(({ host }) => host);
}
