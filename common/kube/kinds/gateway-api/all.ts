/** The kinds of the Gateway API. */
import type { CustomKind } from '../../schema/types.ts';
import { gateway } from './gateway.ts';
import { gatewayClass } from './gateway-class.ts';

export const gatewayApiKinds: readonly CustomKind[] = [gatewayClass, gateway];
