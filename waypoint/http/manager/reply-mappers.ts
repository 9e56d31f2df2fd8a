/** HttpConnectionManager.local_reply_config: headers of our own answers, by what an access log would tell of them. */
import type { Fields } from '../../../common/envoy/fields.ts';
import type { FormatContext } from '../../format/format.ts';
import { applyHeaderOps, type HeaderAddition, readAddition } from '../../format/header-ops.ts';
import type { Headers } from '../../request/headers.ts';
import { type LogFilter, readLogFilter } from '../../telemetry/log-filters.ts';

export interface ReplyMapper {
  readonly accepts: LogFilter;
  readonly add: readonly HeaderAddition[];
}

export function readReplyMappers(manager: Fields): readonly ReplyMapper[] {
  return manager.read('local_reply_config', (config) => config.readAll('mappers', readMapper)) ?? [];
}

function readMapper(mapper: Fields): ReplyMapper {
  if (!mapper.has('filter')) throw mapper.refusal('filter', 'is missing');
  return { accepts: readLogFilter(mapper), add: mapper.readAll('headers_to_add', readAddition) };
}

/** The first mapper that means the answer changes it. `context`: with the status before it was put into gRPC's form. */
export function mapReply(mappers: readonly ReplyMapper[], headers: Headers, context: () => FormatContext): void {
  if (mappers.length === 0) return;
  const now = context();
  const found = mappers.find(({ accepts }) => accepts(now));
  if (found) applyHeaderOps({ add: found.add, remove: [] }, headers, now);
}
