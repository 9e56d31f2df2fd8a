/** The stock Envoy that a lab has, as PyPI's wheel brings it (scripts/unpack-wheels.ts). */
export const envoyVersion = '1.40.0';

/** Below the cache folder. */
export const envoyFile = `programs/envoy-${envoyVersion}/envoy`;
