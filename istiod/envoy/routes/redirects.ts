/** What redirects of both APIs have in common. */
import type { RedirectAction } from './envoy.ts';

const codes: Readonly<Record<number, RedirectAction['response_code']>> = {
  301: 'MOVED_PERMANENTLY',
  302: 'FOUND',
  303: 'SEE_OTHER',
  307: 'TEMPORARY_REDIRECT',
  308: 'PERMANENT_REDIRECT',
};

/** Validation has refused other numbers. */
export function redirectCode(code: number): RedirectAction['response_code'] {
  return codes[code] ?? 'MOVED_PERMANENTLY';
}

/** The usual port of a scheme is not written into a URL. */
export function portShown(port: number | undefined, scheme: string): number | undefined {
  return (port === 80 && scheme === 'http') || (port === 443 && scheme === 'https') ? undefined : port;
}
