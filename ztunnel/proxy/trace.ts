/** AQUIFER_TRACE: follows the connections that fit a filter, a line a stage with its reason. */
import type { Logger } from '../../common/core/log.ts';
import { fits, type Traced, type TraceFilter } from './trace-filter.ts';

export type Stage = 'accept' | 'identify' | 'decide' | 'connect' | 'relay' | 'account';
export type Trace = (stage: Stage, what: string) => void;

/** undefined for a connection that nobody asked to follow: the usual case costs one comparison. */
export function tracer(filter: TraceFilter | undefined, log: Logger): (connection: Traced) => Trace | undefined {
  if (!filter) return () => undefined;
  return (connection) => {
    if (!fits(filter, connection)) return undefined;
    const id = connection.traceId?.slice(0, 8) ?? `${connection.source.port}`;
    return (stage, what) => log.info(what, { id, stage });
  };
}
