/** Which engine moves bytes in tests that start proxies: `AQUIFER_ENGINE=node npm test` runs them all on the other one. */
const chosen = process.env['AQUIFER_ENGINE'];

/** For a proxy's environment. */
export const engineUnderTest: Readonly<Record<string, string>> = chosen === undefined ? {} : { AQUIFER_ENGINE: chosen };
