/** Where Istio is laxer than DESIGN 12 allows, AQUIFER_COMPAT asks for its behaviour, in all cases or in some. */
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
