/** Every case. */
import type { RouteCase } from './case.ts';
import { customCases } from './custom.ts';
import { delegateCases } from './delegates.ts';
import { destinationRuleCases } from './destination-rule.ts';
import { gatewayApiCases } from './gateway-api.ts';
import { limitCases } from './limits.ts';
import { policyCases } from './policies.ts';
import { retryCases } from './retries.ts';
import { streamCases } from './streams.ts';
import { telemetryCases } from './telemetry.ts';
import { tokenCases } from './tokens.ts';
import { tracingCases } from './tracing.ts';
import { trafficCases } from './traffic.ts';
import { virtualServiceCases } from './virtual-service.ts';

export const routeCases: readonly RouteCase[] = [
  ...virtualServiceCases,
  ...delegateCases,
  ...gatewayApiCases,
  ...trafficCases,
  ...retryCases,
  ...destinationRuleCases,
  ...policyCases,
  ...customCases,
  ...tokenCases,
  ...limitCases,
  ...streamCases,
  ...telemetryCases,
  ...tracingCases,
];
