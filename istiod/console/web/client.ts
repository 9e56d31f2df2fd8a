/** What the console asks of istiod, with the token of this tab. */

const stored = 'aquifer-token';

/** The token is not (or no longer) one that may come in. */
export class SignedOut extends Error {}
/** Answered, but not with what was asked for; the message is for the user. */
export class Refused extends Error {}

/** `aquifer dashboard` hands it over behind the #, which no server is ever sent; from there it goes into this tab's memory. */
export function takeTokenFromAddress(): void {
  const given = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (given === undefined) return;
  sessionStorage.setItem(stored, decodeURIComponent(given));
  history.replaceState(undefined, '', `${location.pathname}#graph`);
}

export function signIn(token: string): void {
  sessionStorage.setItem(stored, token);
}

export function signOut(): void {
  sessionStorage.removeItem(stored);
}

/** Rejects with SignedOut, Refused, or a TypeError where nobody answers. */
export async function ask<T>(page: string, query: Readonly<Record<string, string>> | URLSearchParams = {}): Promise<T> {
  const token = sessionStorage.getItem(stored);
  if (token === null) throw new SignedOut('');
  const text = new URLSearchParams(query).toString();
  const response = await fetch(`api/${page}${text === '' ? '' : `?${text}`}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const body = (await response.json()) as { readonly message?: string };
  if (response.status === 401) {
    signOut();
    throw new SignedOut(body.message);
  }
  if (!response.ok) throw new Refused(body.message ?? `answered with ${response.status}`);
  return body as T;
}
