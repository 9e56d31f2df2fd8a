/** Kinds of our own. */
import type { CustomKind } from '../../schema/types.ts';
import { rateLimitPolicy } from './rate-limit-policy.ts';

export const aquiferKinds: readonly CustomKind[] = [rateLimitPolicy];
