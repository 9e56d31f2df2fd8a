/** Every case. */
import type { RouteCase } from './case.ts';
import { gatewayApiCases } from './gateway-api.ts';
import { retryCases } from './retries.ts';
import { trafficCases } from './traffic.ts';
import { virtualServiceCases } from './virtual-service.ts';

export const routeCases: readonly RouteCase[] = [
  ...virtualServiceCases,
  ...gatewayApiCases,
  ...trafficCases,
  ...retryCases,
];
