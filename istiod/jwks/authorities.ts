/** Whom istiod trusts when it fetches keys of issuers. */
import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';

/** Istio's place for authorities beside those of the system (`jwksResolverExtraRootCA` of its chart). */
const extra = '/cacerts/extra.pem';

/** PEM of all; empty: Node's own, as there are no others. */
export async function extraAuthorities(path = extra): Promise<readonly string[]> {
  try {
    return [...getCACertificates('default'), await readFile(path, 'utf8')];
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw e;
  }
}
