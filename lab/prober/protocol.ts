/** Between the lab's daemon and the prober of a node. */
import type { NetworkProbe } from './probe.ts';

export type ProberRequest =
  | {
      readonly kind: 'set';
      readonly key: string;
      readonly probe: NetworkProbe;
      /** Milliseconds; `firstPeriod` until the first success. */
      readonly initialDelay: number;
      readonly firstPeriod: number;
      readonly period: number;
      readonly timeout: number;
    }
  /** One attempt. */
  | { readonly kind: 'try'; readonly key: string; readonly probe: NetworkProbe; readonly timeout: number }
  | { readonly kind: 'remove'; readonly key: string };

export interface ProberResult {
  readonly key: string;
  /** Absent: success. */
  readonly failure?: string;
}
