import { addressTypeUrl, authorizationTypeUrl, workloadTypeUrl } from '../../common/api/index.ts';
import { assertNever } from '../../common/core/errors.ts';
import { clusterTypeUrl, endpointTypeUrl, listenerTypeUrl, routeTypeUrl, secretTypeUrl } from '../envoy/types.ts';
import type { FeedType } from './feed.ts';

/** Istio's short names of the types. */
export function typeLabel(type: FeedType): string {
  switch (type) {
    case addressTypeUrl:
      return 'wds';
    case workloadTypeUrl:
      return 'workload';
    case authorizationTypeUrl:
      return 'wads';
    case clusterTypeUrl:
      return 'cds';
    case endpointTypeUrl:
      return 'eds';
    case listenerTypeUrl:
      return 'lds';
    case routeTypeUrl:
      return 'rds';
    case secretTypeUrl:
      return 'sds';
    default:
      return assertNever(type);
  }
}
