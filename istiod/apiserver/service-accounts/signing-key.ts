/** The key that signs service-account tokens: made once, kept in the data folder, never replaced. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { dirname } from 'node:path';
import type { JWK } from 'jose';
import { describeError, MeshError } from '../../../common/core/errors.ts';
import { createDurably, readIfPresent, syncFolder } from '../../../common/core/files.ts';
import type { Logger } from '../../../common/core/log.ts';

export interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly publicJwk: JWK;
}

/** EC P-256. */
export const algorithm = 'ES256';

/** MeshError CONFIG, with file and remedy, when the file is there and holds no usable key. */
export async function loadOrCreateSigningKey(path: string, log: Logger): Promise<SigningKey> {
  const present = await readIfPresent(path);
  if (present === undefined && (await createDurably(path, makeKey()))) {
    log.info('made a new key for service-account tokens: tokens of another one are refused', { file: path });
  }
  // Also for a file that was there: whoever made it may have been killed before this.
  await syncFolder(dirname(path));
  return parseKey(path, present ?? (await readIfPresent(path)) ?? '');
}

function makeKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

async function parseKey(path: string, text: string): Promise<SigningKey> {
  const broken = (what: string, cause?: unknown) =>
    new MeshError(
      'CONFIG',
      `${path} is not a usable key for service-account tokens: ${what}. Restore the file from a backup. Only if there is none: ` +
        'remove it to start with a new key; every token that was given out is refused then',
      { cause },
    );
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(text);
  } catch (e) {
    throw broken(`it cannot be read (${describeError(e)})`, e);
  }
  if (privateKey.asymmetricKeyType !== 'ec' || privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw broken('it is not an EC P-256 key');
  }
  const publicKey = createPublicKey(privateKey);
  const probe = Buffer.from('probe');
  if (!verify('sha256', probe, publicKey, sign('sha256', probe, privateKey))) {
    throw broken('its private and its public part do not belong together');
  }
  const id = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
  return { id, privateKey, publicJwk: { ...publicKey.export({ format: 'jwk' }), kid: id, alg: algorithm, use: 'sig' } };
}
