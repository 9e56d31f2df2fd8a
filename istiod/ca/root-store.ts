/**
 * The CA's key and root certificate in one file, made once. Both are in one file because two can be half present; it is
 * linked to its name, so that it is whole or not there, and an existing one is never replaced.
 */
import { createPrivateKey, createPublicKey, KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { createDurably, readIfPresent, syncFolder } from '../../common/core/files.ts';
import type { Logger } from '../../common/core/log.ts';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '../../common/identity/x509.ts';

export interface Root {
  readonly certificate: X509Certificate;
  /** PEM. */
  readonly pem: string;
  readonly key: CryptoKey;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const tenYears = 10 * 365 * 86_400_000;
export const rootFile = 'ca.pem';

export interface RootOptions {
  readonly dataDir: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The root that the mesh trusts so far, read before this call; undefined when there is none. */
  readonly published: string | undefined;
}

/**
 * Reads the root, or makes it when there is none. MeshError CONFIG, with file and remedy, when the file is no usable root,
 * and when it is missing although one is published.
 */
export async function loadOrCreateRoot(options: RootOptions): Promise<Root> {
  const { dataDir, clock } = options;
  const path = join(dataDir, rootFile);
  const present = (await readIfPresent(path)) ?? (await createRoot(path, options));
  // Also for a file that was there: whoever made it may have been killed before this.
  await syncFolder(dataDir);
  await syncFolder(dirname(dataDir));
  return parseRoot(path, present, clock);
}

/** The text of the file, which may be another process's. */
async function createRoot(path: string, { dataDir, trustDomain, clock, log, published }: RootOptions): Promise<string> {
  if (published !== undefined) {
    throw new MeshError(
      'CONFIG',
      `there is no root of the CA in ${path}, but the mesh trusts one: it is published as ConfigMap istio-ca-root-cert. Restore ` +
        'the file from a backup. Only if there is none: delete that ConfigMap in the namespace of istiod to start with a new ' +
        'root; every workload then needs a new certificate and every client the new root',
    );
  }
  const made = await makeRoot(trustDomain, clock);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  if (await createDurably(path, made))
    log.info('made a new root: nothing signed by another one is trusted', { file: path });
  return (await readIfPresent(path)) ?? '';
}

async function makeRoot(trustDomain: string, clock: Clock): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: newSerial(),
      name: [{ O: [trustDomain] }],
      notBefore: new Date(clock.wall() - 120_000),
      notAfter: new Date(clock.wall() + tenYears),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as Crypto),
      ],
    },
    webcrypto as Crypto,
  );
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string;
  return `${key}${certificate.toString('pem')}\n`;
}

async function parseRoot(path: string, text: string, clock: Clock): Promise<Root> {
  const broken = (what: string, cause?: unknown) =>
    new MeshError(
      'CONFIG',
      `${path} is not a usable root of the CA: ${what}. Restore the file from a backup. Only if there is none: remove it to ` +
        'start with a new root; every workload then needs a new certificate and every client the new root',
      { cause },
    );
  const keyText = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text)?.[0];
  const certificateText = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text)?.[0];
  if (keyText === undefined) throw broken('it holds no private key');
  if (certificateText === undefined) throw broken('it holds no certificate');
  let certificate: X509Certificate;
  let key: KeyObject;
  try {
    key = createPrivateKey(keyText);
  } catch (e) {
    throw broken(`its private key cannot be read (${describeError(e)})`, e);
  }
  try {
    certificate = new X509Certificate(certificateText);
  } catch (e) {
    throw broken(`its certificate cannot be read (${describeError(e)})`, e);
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw broken('its private key is not an EC P-256 key');
  }
  const ofKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
  if (!ofKey.equals(Buffer.from(certificate.publicKey.rawData)))
    throw broken('key and certificate do not belong together');
  if (!certificate.getExtension(BasicConstraintsExtension)?.ca) throw broken('its certificate is not one of a CA');
  const intact = await certificate.verify({ signatureOnly: true }, webcrypto as Crypto).catch(() => false);
  if (!intact) throw broken('the signature of its certificate is wrong');
  if (certificate.notAfter.getTime() <= clock.wall())
    throw broken(`it expired on ${certificate.notAfter.toISOString()}`);
  return {
    certificate,
    pem: `${certificate.toString('pem')}\n`,
    key: await webcrypto.subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), algorithm, false, [
      'sign',
    ]),
  };
}

/** 128 random bits, positive and without leading zero bytes (RFC 5280 4.1.2.2), in hex. */
export function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}
