/** A CA in this process, whose key lies in a folder: whoever can read the folder can be anybody. For tests (`FAKE_CA`). */
import { createPrivateKey, type KeyObject, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { readResponse } from '../../common/identity/ca-client.ts';
import { createCsr } from '../../common/identity/csr.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { CertificateAuthority } from '../../common/identity/types.ts';
import {
  AuthorityKeyIdentifierExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate as ParsedCertificate,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../../common/identity/x509.ts';

export interface LocalCaOptions {
  /** Folder with `root-cert.pem` and `ca-key.pem` (EC or RSA, PKCS#8, PKCS#1 or SEC 1). */
  readonly folder: string;
  /** ms. */
  readonly lifetime: number;
  readonly clock: Clock;
}

/** Clocks of peers may be behind by as much, in ms; istiod does the same. */
const backdate = 120_000;
const usages = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'];

/** Reads neither file. MeshError CONFIG when one is not there or may not be read. */
export function checkFolder(folder: string): void {
  for (const file of files(folder)) {
    try {
      accessSync(file, constants.R_OK);
    } catch (cause) {
      throw new MeshError('CONFIG', `AQUIFER_FAKE_CA_DIR: ${describeError(cause)}`, { cause });
    }
  }
}

function files(folder: string): readonly [root: string, key: string] {
  return [join(folder, 'root-cert.pem'), join(folder, 'ca-key.pem')];
}

/** MeshError CONFIG when a file cannot be read, or key and certificate do not belong together. */
export async function createLocalCa({ folder, lifetime, clock }: LocalCaOptions): Promise<CertificateAuthority> {
  const [rootFile, keyFile] = files(folder);
  const rootPem = read(rootFile, (pem) => new X509Certificate(pem).toString());
  const key = read(keyFile, createPrivateKey);
  if (!new X509Certificate(rootPem).checkPrivateKey(key)) {
    throw new MeshError('CONFIG', `AQUIFER_FAKE_CA_DIR: ${keyFile} is not the key of ${rootFile}`);
  }
  const { signing, signingKey } = await importKey(key);
  const root = new ParsedCertificate(rootPem);
  return {
    async fetch(identity, signal) {
      const { csr, privateKey } = await createCsr(identity);
      signal.throwIfAborted();
      const now = clock.wall();
      const leaf = await X509CertificateGenerator.create(
        {
          serialNumber: serial(),
          issuer: root.subjectName,
          notBefore: new Date(now - backdate),
          notAfter: new Date(Math.min(now + lifetime, root.notAfter.getTime())),
          publicKey: new Pkcs10CertificateRequest(csr).publicKey,
          signingKey,
          signingAlgorithm: signing,
          extensions: [
            new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
            await AuthorityKeyIdentifierExtension.create(root.publicKey, false, webcrypto as Crypto),
            new ExtendedKeyUsageExtension(usages),
            new SubjectAlternativeNameExtension([{ type: 'url', value: formatSpiffe(identity) }], true),
          ],
        },
        webcrypto as Crypto,
      );
      return readResponse(identity, privateKey, { certChain: [leaf.toString('pem'), rootPem] });
    },
  };
}

function read<T>(file: string, parse: (pem: Buffer) => T): T {
  try {
    return parse(readFileSync(file));
  } catch (cause) {
    throw new MeshError('CONFIG', `AQUIFER_FAKE_CA_DIR: ${file}: ${describeError(cause)}`, { cause });
  }
}

/** MeshError CONFIG for a key that is neither RSA nor of a curve that web cryptography has. */
async function importKey(key: KeyObject) {
  const algorithm = algorithmOf(key);
  const der = new Uint8Array(key.export({ type: 'pkcs8', format: 'der' }));
  const signingKey = (await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign'])) as CryptoKey;
  return { signing: algorithm, signingKey };
}

const curves: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };

function algorithmOf(key: KeyObject) {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const namedCurve = curves[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (namedCurve !== undefined) return { name: 'ECDSA', namedCurve, hash: 'SHA-256' };
  throw new MeshError('CONFIG', 'AQUIFER_FAKE_CA_DIR: ca-key.pem must be RSA, or EC of P-256, P-384 or P-521');
}

/** 16 bytes; the first bit is 0, because DER's integers have a sign. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0]! &= 0x7f;
  return bytes.toString('hex');
}
