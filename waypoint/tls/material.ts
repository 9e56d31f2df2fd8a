/** What OpenSSL is given of an Envoy TLS context, once its secrets are there. */
import { readFileSync } from 'node:fs';
import type { SecureContextOptions } from 'node:tls';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { DataSource, TlsCommon, Validation } from '../cluster/tls/types.ts';
import type { SecretStore } from './secrets.ts';

export interface Material {
  readonly options: SecureContextOptions;
  /** undefined: peers are not verified. */
  readonly validation: Validation | undefined;
}

/** Names of the secrets that this context waits for. */
export function secretsOf({ certificates, validation }: TlsCommon): readonly string[] {
  const names = certificates.flatMap((c) => (c.kind === 'secret' ? [c.secret.name] : []));
  return validation?.secret ? [...names, validation.secret.name] : names;
}

/** undefined: a secret is missing. MeshError CONFIG for files that cannot be read. */
export function materialOf(common: TlsCommon, secrets: SecretStore): Material | undefined {
  const pairs = [];
  for (const certificate of common.certificates) {
    if (certificate.kind === 'inline') pairs.push(certificate.pair);
    else {
      const secret = secrets.get(certificate.secret.name);
      if (secret?.kind !== 'certificate') return undefined;
      pairs.push(secret.pair);
    }
  }
  const validation = validationOf(common, secrets);
  if (validation === 'missing') return undefined;
  const ca = validation?.trustedCa && read(validation.trustedCa);
  const crl = validation?.crl && read(validation.crl);
  return {
    options: {
      key: pairs.map((pair) => read(pair.key)),
      cert: pairs.map((pair) => read(pair.chain)),
      ...(ca && { ca: [ca] }),
      ...(crl && { crl: [crl] }),
      minVersion: common.minVersion,
      maxVersion: common.maxVersion,
      ...(common.ciphers.length > 0 && { ciphers: [...tls13, ...common.ciphers].join(':') }),
      ...(common.curves.length > 0 && { ecdhCurve: common.curves.map((curve) => curve.replace('-', '')).join(':') }),
      honorCipherOrder: true,
    },
    validation,
  };
}

/** Envoy's list is about TLS 1.2; these are always on. */
const tls13 = ['TLS_AES_256_GCM_SHA384', 'TLS_AES_128_GCM_SHA256', 'TLS_CHACHA20_POLY1305_SHA256'];

function validationOf({ validation }: TlsCommon, secrets: SecretStore): Validation | undefined | 'missing' {
  if (!validation?.secret) return validation?.defaults;
  const secret = secrets.get(validation.secret.name);
  if (secret?.kind !== 'validation') return 'missing';
  const { defaults } = validation;
  const dynamic = secret.validation;
  return {
    ...dynamic,
    trustedCa: dynamic.trustedCa ?? defaults.trustedCa,
    crl: dynamic.crl ?? defaults.crl,
    systemRoots: dynamic.systemRoots || defaults.systemRoots,
    sans: [...defaults.sans, ...dynamic.sans],
    certificateHashes: [...defaults.certificateHashes, ...dynamic.certificateHashes],
    spkiHashes: [...defaults.spkiHashes, ...dynamic.spkiHashes],
    verifyChain: dynamic.verifyChain && defaults.verifyChain,
  };
}

function read(source: DataSource): Buffer {
  if (source.kind === 'inline') return source.bytes;
  try {
    return readFileSync(source.path);
  } catch (e) {
    throw new MeshError('CONFIG', `a file of a TLS context: ${describeError(e)}`, { cause: e });
  }
}
