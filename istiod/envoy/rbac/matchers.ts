/** Values of AuthorizationPolicies to matchers of Envoy. A value is exact, `a*`, `*a`, or `*` for "there is some". */
import { firstOf, isIpv6, parseCidr } from '../../../common/core/net.ts';
import { cidr, type Message } from '../values.ts';

/** Of strings; an empty one is none. */
export const anyText: Message = { safe_regex: { regex: '.+' } };

export function textMatcher(value: string, prefix = '', ignoreCase = false): Message {
  const more = ignoreCase ? { ignore_case: true } : {};
  if (value === '*') return anyText;
  if (value.startsWith('*')) return { suffix: value.slice(1), ...more };
  if (value.endsWith('*')) return { prefix: prefix + value.slice(0, -1), ...more };
  return { exact: prefix + value, ...more };
}

export function regex(text: string): Message {
  return { safe_regex: { regex: text } };
}

/** The text itself, in an expression of RE2. */
export function quote(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}

/** Of a header. `:authority` is the host. */
export function headerMatcher(name: string, value: string): Message {
  if (value === '*') return { name, present_match: true };
  return { name, string_match: textMatcher(value) };
}

/**
 * A host is the same host with any port and in any case: a policy about `a.com` is about `A.com:8080`, too, or it could be walked
 * around. One that names a port is about that port alone.
 */
export function hostMatcher(value: string): Message {
  const name = ':authority';
  if (value === '*') return { name, present_match: true };
  if (value.includes(':') || value.endsWith('*')) return { name, string_match: textMatcher(value, '', true) };
  const own = value.startsWith('*') ? `.*${quote(value.slice(1))}` : quote(value);
  return { name, string_match: regex(`(?i)${own}\\.?(:[0-9]+)?`) };
}

/** Of a path without its query. `{*}` is a segment, `{**}` what remains. */
export function pathPermission(value: string): Message {
  if (value.includes('{')) {
    const template = value.replaceAll('{**}', '**').replaceAll('{*}', '*');
    return {
      uri_template: {
        name: 'envoy.path.match.uri_template.uri_template_matcher',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
          path_template: template,
        },
      },
    };
  }
  return { url_path: { path: textMatcher(value) } };
}

/** undefined: no address and no CIDR. */
export function range(text: string): Message | undefined {
  const parsed = parseCidr(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`);
  if (parsed === undefined) return undefined;
  const { ip, length } = firstOf(parsed);
  return cidr(ip, Math.min(length, isIpv6(ip) ? 128 : 32));
}
