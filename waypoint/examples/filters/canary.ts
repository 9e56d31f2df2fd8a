/**
 * Sends a caller to the canary, and keeps it there by a cookie. A request with `x-canary: on` or `off` says so itself; else the cookie
 * holds; else a share of callers is chosen. Routes match the header `x-canary: on`, which this filter alone sets.
 *
 *   pluginConfig: { percent: 5, cookie: canary, maxAge: 3600 }
 */
import type { Filter } from '../../filters/script/api.ts';

interface Config {
  /** Of callers that nothing is known of yet, 0 to 100. Default 0. */
  readonly percent?: number;
  /** Name of the cookie. Default `canary`. */
  readonly cookie?: string;
  /** Seconds that it holds. Default an hour. */
  readonly maxAge?: number;
}

export default {
  onRequest(request, { config, crypto, metrics }) {
    const { percent = 0, cookie = 'canary', maxAge = 3_600 } = config as Config;
    const asked = request.headers.get('x-canary');
    const kept = request.cookie(cookie);
    const says = (value: string | undefined) => value === 'on' || value === 'off';
    const chosen = says(asked) ? asked : says(kept) ? kept : share(crypto.uuid()) < percent ? 'on' : 'off';
    if (chosen !== kept)
      request.response.append('set-cookie', `${cookie}=${chosen}; Max-Age=${maxAge}; Path=/; HttpOnly; SameSite=Lax`);
    if (chosen === 'on') request.headers.set('x-canary', 'on');
    else request.headers.remove('x-canary');
    metrics.count('canary_requests_total', { to: chosen === 'on' ? 'canary' : 'stable' });
    request.reroute();
    return undefined;
  },
} satisfies Filter;

/** 0 to below 100, of a random UUID. */
function share(uuid: string): number {
  return (Number.parseInt(uuid.slice(0, 8), 16) / 2 ** 32) * 100;
}
