/** Which method a request is for, and what its path says: a tree of segments, literals before `*` before `**`. */
import type { Template } from './template.ts';
import { type Keeps, unescapeUrl } from './unescape.ts';

export interface Binding {
  readonly path: readonly string[];
  readonly value: string;
}

export interface Match<T> {
  readonly target: T;
  readonly bindings: readonly Binding[];
}

interface Rule<T> {
  readonly template: Template;
  readonly target: T;
}

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  /** By method. `ambiguous`: two rules say the same, so neither holds. */
  readonly rules: Map<string, Rule<T> | 'ambiguous'>;
}

const newNode = <T>(): Node<T> => ({ children: new Map(), rules: new Map() });

export class Matcher<T> {
  readonly #root: Node<T> = newNode();
  readonly #verbs = new Set<string>();
  readonly #anyVerb: boolean;
  readonly #keeps: Keeps;

  /** `anyVerb`: also a verb that no template has is one. `keeps`: of variables of several segments. */
  constructor(anyVerb: boolean, keeps: Keeps) {
    this.#anyVerb = anyVerb;
    this.#keeps = keeps;
  }

  /** `method` `*`: all that have no rule of their own. */
  add(method: string, template: Template, target: T): void {
    let node = this.#root;
    const verb = template.verb === '' ? [] : [template.verb];
    for (const segment of [...template.segments, ...verb]) {
      let next = node.children.get(segment);
      if (!next) {
        next = newNode();
        node.children.set(segment, next);
      }
      node = next;
    }
    node.rules.set(method, node.rules.has(method) ? 'ambiguous' : { template, target });
    if (template.verb !== '') this.#verbs.add(template.verb);
  }

  /** `path` without query. */
  find(method: string, path: string): Match<T> | undefined {
    const parts = this.#parts(path);
    const rule = find(this.#root, parts, 0, method);
    if (!rule || rule === 'ambiguous') return undefined;
    const bindings = rule.template.variables.map((variable) => {
      const start = variable.start < 0 ? parts.length + variable.start + 1 : variable.start;
      const end = variable.end < 0 ? parts.length + variable.end + 1 : variable.end;
      const keeps = end - start > 1 || variable.end < 0 ? this.#keeps : 'nothing';
      const value = parts.slice(start, end).map((part) => unescapeUrl(part, keeps));
      return { path: variable.path, value: value.join('/') };
    });
    return { target: rule.target, bindings };
  }

  #parts(path: string): readonly string[] {
    const colon = path.lastIndexOf(':');
    const hasVerb = colon > path.lastIndexOf('/') && (this.#anyVerb || this.#verbs.has(path.slice(colon + 1)));
    const parts = (hasVerb ? `${path.slice(0, colon)}/${path.slice(colon + 1)}` : path).slice(1).split('/');
    while (parts.at(-1) === '') parts.pop();
    return parts;
  }
}

/** Each step goes down the tree or on in the path, and `**` tries no other `**`: the work is bounded by both. */
function find<T>(
  node: Node<T>,
  parts: readonly string[],
  at: number,
  method: string,
): Rule<T> | 'ambiguous' | undefined {
  if (at === parts.length) {
    const none = node.children.get('**');
    return ruleOf(node, method) ?? (none && ruleOf(none, method));
  }
  for (const name of literalFirst(parts[at]!)) {
    const next = node.children.get(name);
    const found = next && (name === '**' ? findBehind(next, parts, at, method) : find(next, parts, at + 1, method));
    if (found) return found;
  }
  return undefined;
}

/** What `**` stands for is as short as it can be. */
function findBehind<T>(node: Node<T>, parts: readonly string[], from: number, method: string) {
  if (node.children.size === 0) return ruleOf(node, method);
  for (let at = from; at < parts.length; at++) {
    const found = literally(node, parts, at, method);
    if (found) return found;
  }
  return ruleOf(node, method);
}

function literally<T>(start: Node<T>, parts: readonly string[], from: number, method: string) {
  let node: Node<T> | undefined = start;
  for (let at = from; node && at < parts.length; at++) node = node.children.get(parts[at]!);
  return node && ruleOf(node, method);
}

/** An asked `*` is no wildcard, but finds the same node. */
function literalFirst(part: string): readonly string[] {
  return part === '*' || part === '**' ? ['*', '**'] : [part, '*', '**'];
}

function ruleOf<T>(node: Node<T>, method: string): Rule<T> | 'ambiguous' | undefined {
  return node.rules.get(method) ?? node.rules.get('*');
}
