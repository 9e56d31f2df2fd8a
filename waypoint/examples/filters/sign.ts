/**
 * Signs requests for a service outside of the mesh that asks for it: HMAC-SHA256 over time, method, authority and path, each ended by a
 * line feed. What the caller sent under these names goes. A request from nobody of the mesh is refused, not signed.
 *
 *   pluginConfig: { keyId: shop, key: ... }
 */
import type { Filter } from '../../filters/script/api.ts';

interface Config {
  readonly keyId: string;
  readonly key: string;
}

export default {
  onRequest(request, { config, crypto, now }) {
    const { keyId, key } = config as Config;
    if (!key) throw new Error('pluginConfig has no key');
    if (request.identity === undefined)
      return { status: 403, body: 'only workloads of the mesh may ask this service\n' };
    const time = String(Math.floor(now() / 1_000));
    const signed = [time, request.method, request.authority, request.path].map((part) => `${part}\n`).join('');
    request.headers.set('x-signature-key', keyId);
    request.headers.set('x-signature-time', time);
    request.headers.set('x-signature', crypto.hmacSha256(key, signed));
    return undefined;
  },
} satisfies Filter;
