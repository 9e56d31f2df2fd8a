/** Key sets of issuers (RFC 7517) as proxies get them: public members of keys that can be used, and nothing else that was fetched. */
import { createPublicKey } from 'node:crypto';

/** A key whose private half nobody has: it was never written down. With it every token is refused, which is what unknown keys mean. */
export const impossibleKeys = JSON.stringify({
  keys: [
    {
      kty: 'RSA',
      e: 'AQAB',
      n: 'pdXu6_DnOZD9BsZju7rmqvbjeRoUMAKgoStrqi-V_R_iUTvN1tMBzSSNTrTp1cINS3x-uZTZ9UYsZudppknBvYz_6bF3QcKUrJS5yfb_m7iPEmm9a5L3vXWK36q374CHscJVSssfewVRAyu-eaQBDopm6o0-bYfb-91uBVhJ1luvnQmz0Ag7yQgzrVnVP1CUVfQevZkS_33FO8faSV3IeioDPq0gdwOwLGbnk3dQ6OuRNttMHnOnWJ7Trg858ob4xms7oFLU2Y2ZhvUFyjmShketPthan5GKy4Xc9ORgxlyCdeT-r2oDS-0wb2dcgOz5KT5TYMYp_LnKAoGS_E1ZgQ',
    },
  ],
});

type Jwk = Readonly<Record<string, unknown>>;

const open = ['kty', 'kid', 'alg', 'use', 'n', 'e', 'crv', 'x', 'y'];

/**
 * The keys of a set, in its order. `secrets`: also symmetric ones, which only objects may hold. undefined: it is no key set, or has no key
 * that can be used, for which Envoy would refuse the whole listener.
 */
export function usableKeys(text: string, secrets: boolean): string | undefined {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    return undefined;
  }
  const keys = typeof set === 'object' && set !== null ? (set as Jwk)['keys'] : undefined;
  if (!Array.isArray(keys)) return undefined;
  const usable = keys.flatMap((key: unknown) => {
    const one = typeof key === 'object' && key !== null ? publicPart(key as Jwk, secrets) : undefined;
    return one ? [one] : [];
  });
  return usable.length === 0 ? undefined : JSON.stringify({ keys: usable });
}

function publicPart(key: Jwk, secrets: boolean): Jwk | undefined {
  if (key['use'] === 'enc') return undefined;
  if (key['kty'] === 'oct') {
    const { kty, kid, alg, k } = key;
    return secrets && typeof k === 'string' && k !== '' ? { kty, ...texts({ kid, alg }), k } : undefined;
  }
  const known = texts(Object.fromEntries(open.map((name) => [name, key[name]])));
  try {
    const { asymmetricKeyType } = createPublicKey({ key: known as never, format: 'jwk' });
    return ['rsa', 'ec', 'ed25519'].includes(asymmetricKeyType ?? '') ? known : undefined;
  } catch {
    return undefined;
  }
}

function texts(key: Jwk): Jwk {
  return Object.fromEntries(Object.entries(key).filter(([, value]) => typeof value === 'string'));
}
