/** Path templates of google.api.http: `/v1/{name=shelves/*}/books/**:verb`. */

/** What a request's segments become: a field's path and which segments it takes. */
export interface Variable {
  readonly path: readonly string[];
  readonly start: number;
  /** Behind the last segment; negative: from the end, -1 is all that follow. */
  readonly end: number;
}

export interface Template {
  /** Literals, `*` and `**`. */
  readonly segments: readonly string[];
  /** Empty: none. */
  readonly verb: string;
  readonly variables: readonly Variable[];
}

const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/;
const literal = /^(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2})+$/;

/** undefined: it is none. */
export function parseTemplate(text: string): Template | undefined {
  if (!text.startsWith('/')) return undefined;
  const [body, verb] = withoutVerb(text.slice(1));
  if (verb !== undefined && !literal.test(verb)) return undefined;
  const segments: string[] = [];
  const variables: { path: readonly string[]; start: number; end: number }[] = [];
  for (const part of split(body)) {
    if (!part.startsWith('{')) {
      segments.push(part);
      continue;
    }
    const [, name, pattern = '*'] = /^\{([^{}=]+)(?:=([^{}=]+))?\}$/.exec(part) ?? [];
    const path = name?.split('.');
    if (!path?.every((one) => identifier.test(one))) return undefined;
    const start = segments.length;
    segments.push(...pattern.split('/'));
    variables.push({ path, start, end: segments.length });
  }
  const many = segments.indexOf('**');
  const isFine = segments.every((one) => one === '*' || one === '**' || literal.test(one));
  // Behind `**` only literals may follow: else it would not be known where it ends.
  if (!isFine || (many >= 0 && segments.slice(many + 1).some((one) => one.startsWith('*')))) return undefined;
  for (const variable of variables) {
    // Counted from the end of what is asked, a verb included.
    if (many >= 0 && variable.start > many) variable.start -= segments.length + (verb === undefined ? 0 : 1) + 1;
    if (many >= 0 && variable.end > many) variable.end -= segments.length + (verb === undefined ? 0 : 1) + 1;
  }
  return { segments, verb: verb ?? '', variables };
}

/** A colon within braces or before a slash begins no verb. */
function withoutVerb(text: string): readonly [body: string, verb: string | undefined] {
  const colon = text.lastIndexOf(':');
  if (colon <= Math.max(text.lastIndexOf('/'), text.lastIndexOf('}'))) return [text, undefined];
  return [text.slice(0, colon), text.slice(colon + 1)];
}

/** At slashes outside of braces. */
function split(text: string): readonly string[] {
  return text.split(/\/(?![^{}]*\})/);
}
