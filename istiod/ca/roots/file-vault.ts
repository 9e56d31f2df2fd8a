/**
 * One file in a folder of istiod's own: key and certificate of the root that signs, the same of the next one, the certificate of the one
 * before. Keys and certificates are in one file because two can be half present; it gets its name when it is whole.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createDurably, readIfPresent, syncFolder, unlinkIfPresent, writeDurably } from '../../../common/core/files.ts';
import type { RootPem } from '../self-signed.ts';
import { type RootVault, UnusableVault, type VaultContent } from './vault.ts';

export const rootFile = 'ca.pem';

/** One process at a time may replace what is there; several may create it. */
export function createFileVault(dataDir: string): RootVault {
  const path = join(dataDir, rootFile);
  let settled = false;
  return {
    where: path,
    async read() {
      const text = await readIfPresent(path);
      if (text === undefined) return undefined;
      if (!settled) {
        // Whoever made it may have been killed before the disk had its name.
        await syncFolder(dataDir);
        await syncFolder(dirname(dataDir));
        settled = true;
      }
      return { content: parse(text), version: text };
    },
    async create(content) {
      await mkdir(dataDir, { recursive: true, mode: 0o700 });
      return createDurably(path, format(content));
    },
    async replace(content, version) {
      if ((await readIfPresent(path)) !== version) return false;
      const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
      try {
        await writeDurably(temporary, format(content));
        await rename(temporary, path);
      } catch (e) {
        await unlinkIfPresent(temporary);
        throw e;
      }
      await syncFolder(dataDir);
      return true;
    },
  };
}

function format({ current, next, previous, since, request }: VaultContent): string {
  const notes = [
    ...(since === undefined ? [] : [`since: ${new Date(since).toISOString()}\n`]),
    ...(request === undefined ? [] : [`request: ${JSON.stringify(request)}\n`]),
  ];
  const pairs = [current, next].flatMap((p) => (p === undefined ? [] : [p.key, p.certificate]));
  // What stands outside of the blocks is no part of a PEM file (RFC 7468 2).
  return [...notes, ...pairs, previous ?? ''].join('');
}

const blocks = /-----BEGIN (PRIVATE KEY|CERTIFICATE)-----[^-]+-----END \1-----/g;

function parse(text: string): VaultContent {
  const pairs: RootPem[] = [];
  let previous: string | undefined;
  let key: string | undefined;
  for (const [block, kind] of text.matchAll(blocks)) {
    if (kind === 'PRIVATE KEY') {
      if (key !== undefined) throw new UnusableVault('it holds no certificate for one of its keys');
      key = block;
    } else if (key === undefined) {
      previous = `${block}\n`;
    } else {
      pairs.push({ key: `${key}\n`, certificate: `${block}\n` });
      key = undefined;
    }
  }
  const [current, next, surplus] = pairs;
  if (key !== undefined) throw new UnusableVault('it holds no certificate');
  if (current === undefined) throw new UnusableVault('it holds no private key');
  if (surplus !== undefined) throw new UnusableVault('it holds more than two keys');
  const at = /^since: (.+)$/m.exec(text)?.[1];
  const since = at === undefined ? undefined : Date.parse(at);
  if (Number.isNaN(since)) throw new UnusableVault('since is no time');
  const request = /^request: (.+)$/m.exec(text)?.[1];
  return {
    current,
    next,
    previous,
    since,
    request: request === undefined ? undefined : String(JSON.parse(request)),
  };
}
