/** The filters that there are; the router, which ends each chain, is the runtime's. */
import type { PerFilterTypes } from '../route/per-filter.ts';
import { compressorFilter } from './compressor/filter.ts';
import { corsFilter } from './cors.ts';
import { decompressorFilter } from './decompressor/filter.ts';
import { extAuthzFilter } from './ext-authz/filter.ts';
import { extProcFilter } from './ext-proc/filter.ts';
import { faultFilter } from './fault.ts';
import type { FilterKind } from './filter.ts';
import { grpcJsonFilter } from './grpc-json/filter.ts';
import { grpcWebFilter } from './grpc-web/filter.ts';
import { headerMutationFilter } from './header-mutation.ts';
import { jwtFilter } from './jwt/filter.ts';
import { globalRateLimitFilter } from './ratelimit/global.ts';
import { localRateLimitFilter } from './ratelimit/local.ts';
import { rbacFilter } from './rbac/filter.ts';
import { scriptFilter } from './script/filter.ts';
import { sessionFilter } from './session/filter.ts';
import { setFilterStateFilter } from './set-filter-state.ts';

const all: readonly FilterKind[] = [
  jwtFilter,
  rbacFilter,
  extAuthzFilter,
  extProcFilter,
  localRateLimitFilter,
  globalRateLimitFilter,
  faultFilter,
  grpcWebFilter,
  grpcJsonFilter,
  corsFilter,
  compressorFilter,
  decompressorFilter,
  headerMutationFilter,
  setFilterStateFilter,
  scriptFilter,
  sessionFilter,
];

/** By the type URL of their configuration. */
export const filterKinds: ReadonlyMap<string, FilterKind> = new Map(all.map((kind) => [kind.type, kind]));

/** What routes may say to them. */
export const perFilterTypes: PerFilterTypes = new Map(
  all.flatMap(({ perRoute }) => (perRoute ? [[perRoute.type, perRoute.read] as const] : [])),
);
