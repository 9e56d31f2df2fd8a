/** How a path changes on its way to the upstream. */
import type { Fields } from '../../common/envoy/fields.ts';
import { readSubstitution } from '../match/regex.ts';
import type { PathTemplate } from '../match/template.ts';
import { withoutQuery } from '../request/path.ts';
import type { PathMatch } from './match.ts';
import type { PathRewrite, TemplatePart } from './types.ts';

const templateUrl = 'type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig';

export function readPathRewrite(fields: Fields): UnboundRewrite | undefined {
  const which = (['prefix_rewrite', 'regex_rewrite', 'path_rewrite_policy'] as const).filter((name) =>
    fields.has(name),
  );
  if (which.length > 1) throw fields.refusal(which[1]!, `is there beside ${which[0]}: one of them only`);
  switch (which[0]) {
    case 'prefix_rewrite': {
      const to = fields.text('prefix_rewrite');
      return to === '' ? undefined : { kind: 'prefix', to };
    }
    case 'regex_rewrite':
      return { kind: 'regex', substitute: fields.required('regex_rewrite', readSubstitution) };
    case 'path_rewrite_policy':
      return { kind: 'template', to: fields.required('path_rewrite_policy', readTemplateRewrite) };
    case undefined:
      return undefined;
  }
}

/** A rewrite by template as it is read: the template that it takes variables from is the route's match. */
export type UnboundRewrite =
  | Exclude<PathRewrite, { kind: 'template' }>
  | { readonly kind: 'template'; readonly to: readonly TemplatePart[] };

function readTemplateRewrite(fields: Fields): readonly TemplatePart[] {
  fields.harmless('name');
  return fields.required('typed_config', (f) => {
    if (f.type !== templateUrl) throw f.refusal('@type', `${f.type} is not supported`);
    const text = f.text('path_template_rewrite');
    const wrong = f.refusal('path_template_rewrite', `${JSON.stringify(text)} is no path with {variables}`);
    if (!/^\/([^{}]|\{[a-zA-Z][a-zA-Z0-9_]*\})*$/.test(text)) throw wrong;
    return [...text.matchAll(/\{([^}]+)\}|([^{]+)/g)].map(([, name, literal]) =>
      name === undefined ? { kind: 'literal', text: literal! } : { kind: 'variable', name },
    );
  });
}

/** Joins a rewrite by template with its match; `refuse` makes the error for a match that has no such variables. */
export function bindRewrite(
  rewrite: UnboundRewrite | undefined,
  match: PathMatch,
  refuse: (why: string) => Error,
): PathRewrite | undefined {
  if (rewrite?.kind === 'prefix' && match.kind === 'template') throw refuse('has no prefix that could be rewritten');
  if (rewrite?.kind !== 'template') return rewrite;
  if (match.kind !== 'template') throw refuse('needs a match by path_match_policy');
  const { template } = match;
  for (const part of rewrite.to) {
    if (part.kind === 'variable' && !template.names.has(part.name))
      throw refuse(`${part.name} is no variable of the match`);
  }
  return { kind: 'template', from: template, to: rewrite.to };
}

/** `path` with query, which stays; `match` is the route's. undefined: nothing would be left of it, so it stays. */
export function rewritePath(path: string, rewrite: PathRewrite, match: PathMatch): string | undefined {
  const plain = withoutQuery(path);
  const made = rewritePlain(plain, rewrite, match);
  return made === '' ? undefined : made + path.slice(plain.length);
}

function rewritePlain(path: string, rewrite: PathRewrite, match: PathMatch): string {
  switch (rewrite.kind) {
    case 'regex':
      return rewrite.substitute(path);
    case 'prefix': {
      const matched = match.kind === 'prefix' || match.kind === 'segments' ? match.prefix.length : path.length;
      return rewrite.to + path.slice(matched);
    }
    case 'template':
      return fill(rewrite.from, rewrite.to, path);
  }
}

function fill(from: PathTemplate, to: readonly TemplatePart[], path: string): string {
  const values = from.variables(path);
  return to.map((part) => (part.kind === 'literal' ? part.text : (values?.get(part.name) ?? ''))).join('');
}

/** For redirects, which rewrite without templates. */
export function readRedirectRewrite(fields: Fields): Exclude<PathRewrite, { kind: 'template' }> | undefined {
  if (fields.has('regex_rewrite')) {
    return { kind: 'regex', substitute: fields.required('regex_rewrite', readSubstitution) };
  }
  const to = fields.text('prefix_rewrite');
  return to === '' ? undefined : { kind: 'prefix', to };
}
