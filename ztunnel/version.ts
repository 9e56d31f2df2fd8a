/** The words of `bin/ztunnel version`, and of config_dump (keys as in Istio's). */
import { gitRevision, version } from '../common/core/version.ts';

export const buildInfo = {
  version,
  gitRevision,
  /** What runs it, in the place of the compiler. */
  nodeVersion: process.version,
  cryptoProvider: `openssl ${process.versions.openssl}`,
} as const;

export function versionText(): string {
  const { gitRevision, nodeVersion, cryptoProvider } = buildInfo;
  const fields = {
    Version: version,
    GitRevision: gitRevision,
    NodeVersion: nodeVersion,
    CryptoProvider: cryptoProvider,
  };
  const text = Object.entries(fields).map(([name, value]) => `${name}:"${value}"`);
  return `version.BuildInfo{${text.join(', ')}}`;
}
