/** Paths made canonical, as HttpConnectionManager's options ask: probed against Envoy 1.40, byte by byte (test/envoy). */

/** Written as they are even where they came as %XX: RFC 3986's unreserved characters. */
const unreserved = /[A-Za-z0-9\-._~]/;
/** Never left bare. */
const mustEscape = /["<>^`{|}]/g;

/**
 * Dot segments resolved, `\` taken for `/`, unreserved characters unescaped, forbidden ones escaped. A segment `.` or `..` counts as
 * such with path parameters too (`..;x`). undefined: to be refused, for a NUL. `path` has no query.
 */
export function normalizePath(path: string): string | undefined {
  const withoutParameters = path.includes(';') ? path.replace(/(^|\/)(\.\.?);[^/]*/g, '$1$2') : path;
  if (/%00/.test(withoutParameters)) return undefined;
  const plain = withoutParameters.includes('\\') ? withoutParameters.replaceAll('\\', '/') : withoutParameters;
  const escaped = plain.replace(mustEscape, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return resolveDots(escaped.includes('%') ? escaped.replace(/%[0-9A-Fa-f]{2}/g, unescapeUnreserved) : escaped);
}

function unescapeUnreserved(escaped: string): string {
  const char = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
  return unreserved.test(char) ? char : escaped;
}

function resolveDots(path: string): string {
  if (!path.includes('/.')) return path;
  const segments = path.split('/');
  const out: string[] = [];
  for (const [i, segment] of segments.entries()) {
    const isLast = i === segments.length - 1;
    if (segment === '..') {
      // The empty segment before the first slash stays.
      if (out.length > 1) out.pop();
    } else if (segment !== '.') {
      out.push(segment);
      continue;
    }
    if (isLast) out.push('');
  }
  return out.join('/');
}

/** `//` to `/`. `path` has no query. */
export function mergeSlashes(path: string): string {
  return path.replace(/\/{2,}/g, '/');
}

/** `%2F` and `%5C`, in any case, to what they stand for. `path` has no query. */
export function unescapeSlashes(path: string): string {
  return path.replace(/%(2[Ff]|5[Cc])/g, (_, code: string) => (code.startsWith('2') ? '/' : '\\'));
}

/** Without query and fragment. */
export function withoutQuery(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}
