/** Where a request may carry tokens. */
import type { RequestView } from '../../request/view.ts';
import type { Provider } from './provider.ts';

export interface Location {
  readonly kind: 'header' | 'parameter' | 'cookie';
  readonly name: string;
  /** Before the token; empty: the value is the token. */
  readonly prefix: string;
}

/** With the issuers whose providers look there; undefined: one of them takes any. */
interface Place extends Location {
  readonly issuers: ReadonlySet<string> | undefined;
}

export interface Found {
  readonly text: string;
  readonly at: Place;
}

/** Where these providers look, in the order in which Envoy does: by kind, then by name. */
export class Locations {
  readonly #places: readonly Place[];
  /** What tokens say to the service, which nobody else may. */
  readonly #outputs: readonly string[];

  constructor(providers: readonly Provider[]) {
    const places = new Map<string, Location & { issuers: Set<string> | undefined }>();
    for (const { locations, issuer } of providers) {
      for (const location of locations) {
        const key = `${order[location.kind]}${location.name}${location.prefix}`;
        const known = places.get(key) ?? { ...location, issuers: new Set<string>() };
        if (issuer === '') known.issuers = undefined;
        else known.issuers?.add(issuer);
        places.set(key, known);
      }
    }
    this.#places = [...places].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, place]) => place);
    this.#outputs = providers.flatMap(({ payloadHeader, claimHeaders }) => [
      ...(payloadHeader === '' ? [] : [payloadHeader]),
      ...claimHeaders.map(({ header }) => header),
    ]);
  }

  /** Headers that only a verified token may set. */
  sanitise({ headers }: RequestView): void {
    for (const name of this.#outputs) headers.remove(name);
  }

  find(view: RequestView): readonly Found[] {
    const found: Found[] = [];
    let parameters: ReadonlyMap<string, string> | undefined;
    for (const at of this.#places) {
      let text: string | undefined;
      switch (at.kind) {
        case 'header':
          text = inHeader(view.headers.get(at.name), at.prefix);
          break;
        case 'parameter':
          parameters ??= parametersOf(view.path);
          text = parameters.get(at.name);
          break;
        case 'cookie':
          text = inCookies(view.headers.getAll('cookie'), at.name);
          break;
      }
      if (text !== undefined) found.push({ text, at });
    }
    return found;
  }
}

const order = { header: 0, parameter: 1, cookie: 2 } as const;

/** The service does not see the token. Cookies stay. */
export function removeToken(view: RequestView, { kind, name }: Location): void {
  switch (kind) {
    case 'header':
      view.headers.remove(name);
      return;
    case 'parameter':
      view.path = withoutParameter(view.path, name);
      return;
    case 'cookie':
      return;
  }
}

function inHeader(value: string | undefined, prefix: string): string | undefined {
  if (value === undefined || prefix === '') return value;
  const at = value.indexOf(prefix);
  if (at < 0) return undefined;
  return value.slice(at + prefix.length);
}

/** Decoded; of a name that is there twice the first. */
function parametersOf(path: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const pair of pairsOf(path)) {
    const equals = pair.indexOf('=');
    const name = percentDecode(equals < 0 ? pair : pair.slice(0, equals));
    if (!found.has(name)) found.set(name, equals < 0 ? '' : percentDecode(pair.slice(equals + 1)));
  }
  return found;
}

function pairsOf(path: string): readonly string[] {
  const mark = path.indexOf('?');
  return mark < 0 ? [] : path.slice(mark + 1).split('&');
}

function percentDecode(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function withoutParameter(path: string, name: string): string {
  const mark = path.indexOf('?');
  if (mark < 0) return path;
  const kept = pairsOf(path).filter((pair) => percentDecode(pair.split('=', 1)[0]!) !== name);
  return kept.length === 0 ? path.slice(0, mark) : `${path.slice(0, mark)}?${kept.join('&')}`;
}

function inCookies(values: readonly string[], name: string): string | undefined {
  for (const value of values) {
    for (const one of value.split(';')) {
      const equals = one.indexOf('=');
      if (equals < 0 || one.slice(0, equals).trim() !== name) continue;
      const text = one.slice(equals + 1).trim();
      return /^".*"$/.test(text) && text.length >= 2 ? text.slice(1, -1) : text;
    }
  }
  return undefined;
}
