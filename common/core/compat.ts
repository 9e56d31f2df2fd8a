/** AQUIFER_COMPAT: where Istio is laxer than DESIGN 12 allows, its behaviour can be asked for, all cases or some. */
import { MeshError } from './errors.ts';

export const compatCases = [
  'missing-policy',
  'l7-deny',
  'no-waypoint',
  'waypoint-bypass',
  'revocation-unknown',
] as const;
export type CompatCase = (typeof compatCases)[number];
/** Cases in which Istio's behaviour is wanted. */
export type Compat = ReadonlySet<CompatCase>;

export const strict: Compat = new Set();

/** `istio`, or names of cases with commas between, or nothing. MeshError CONFIG names what it does not know. */
export function parseCompat(text: string | undefined): Compat {
  const names = (text ?? '').split(',').map((s) => s.trim());
  return new Set(names.filter((s) => s !== '').flatMap((s) => (s === 'istio' ? compatCases : [caseNamed(s)])));
}

function caseNamed(name: string): CompatCase {
  const known = compatCases.find((c) => c === name);
  if (known) return known;
  throw new MeshError(
    'CONFIG',
    `AQUIFER_COMPAT: "${name}" is not a case; use istio, or a list of ${compatCases.join(', ')}`,
  );
}
