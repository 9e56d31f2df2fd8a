/** Label selectors: as text (`a=b,c in (d,e),!f`) and as an object (matchLabels, matchExpressions). */
import { assertNever } from '../../../common/core/errors.ts';

export type Requirement =
  | { readonly kind: 'in' | 'not-in'; readonly key: string; readonly values: ReadonlySet<string> }
  | { readonly kind: 'exists' | 'absent'; readonly key: string }
  | { readonly kind: 'greater' | 'less'; readonly key: string; readonly value: number };

export type Labels = Readonly<Record<string, string>>;

/** More would make each list and watch event expensive. */
const requirementLimit = 1000;
const valueLimit = 10_000;

export class SelectorError extends Error {}

/** Empty text selects everything. SelectorError. */
export function parseLabelSelector(text: string): readonly Requirement[] {
  const tokens = tokenize(text);
  const requirements: Requirement[] = [];
  let at = 0;
  const next = (): string => tokens[at++] ?? '';
  while (at < tokens.length) {
    requirements.push(parseRequirement(next, () => tokens[at] ?? ''));
    if (requirements.length > requirementLimit) throw new SelectorError(`more than ${requirementLimit} requirements`);
    if (at === tokens.length) break;
    const comma = next();
    if (comma !== ',') throw new SelectorError(`expected "," and found ${JSON.stringify(comma)}`);
    if (at === tokens.length) throw new SelectorError('a requirement is expected after the last ","');
  }
  return requirements;
}

export function matchesLabels(requirements: readonly Requirement[], labels: Labels | undefined): boolean {
  return requirements.every((r) => {
    const value = labels !== undefined && Object.hasOwn(labels, r.key) ? labels[r.key] : undefined;
    switch (r.kind) {
      case 'in':
        return value !== undefined && r.values.has(value);
      case 'not-in':
        return value === undefined || !r.values.has(value);
      case 'exists':
        return value !== undefined;
      case 'absent':
        return value === undefined;
      case 'greater':
        return value !== undefined && /^-?\d+$/.test(value) && Number(value) > r.value;
      case 'less':
        return value !== undefined && /^-?\d+$/.test(value) && Number(value) < r.value;
      default:
        return assertNever(r);
    }
  });
}

function parseRequirement(next: () => string, peek: () => string): Requirement {
  const first = next();
  if (first === '!') return { kind: 'absent', key: keyFrom(next()) };
  const key = keyFrom(first);
  if (peek() === ',' || peek() === '') return { kind: 'exists', key };
  const operator = next();
  switch (operator) {
    case '=':
    case '==':
      return { kind: 'in', key, values: new Set([singleValue(next, peek)]) };
    case '!=':
      return { kind: 'not-in', key, values: new Set([singleValue(next, peek)]) };
    case '>':
    case '<': {
      const value = next();
      if (!/^-?\d+$/.test(value)) throw new SelectorError(`${JSON.stringify(value)} is not an integer`);
      return { kind: operator === '>' ? 'greater' : 'less', key, value: Number(value) };
    }
    case 'in':
    case 'notin':
      return { kind: operator === 'in' ? 'in' : 'not-in', key, values: valueList(next, peek) };
    default:
      throw new SelectorError(
        `${JSON.stringify(operator)} is not an operator; there are =, ==, !=, in, notin, < and >`,
      );
  }
}

/** May be empty: `a=`. */
function singleValue(next: () => string, peek: () => string): string {
  return peek() === ',' || peek() === '' ? '' : valueFrom(next());
}

function valueList(next: () => string, peek: () => string): ReadonlySet<string> {
  if (next() !== '(') throw new SelectorError('expected "(" after in and notin');
  const values = new Set<string>();
  for (;;) {
    if (peek() === ',' || peek() === ')') values.add('');
    else values.add(valueFrom(next()));
    if (values.size > valueLimit) throw new SelectorError(`more than ${valueLimit} values`);
    const token = next();
    if (token === ')') return values;
    if (token !== ',') throw new SelectorError(`expected "," or ")" and found ${JSON.stringify(token)}`);
  }
}

const label = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const prefix = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function keyFrom(text: string): string {
  const slash = text.indexOf('/');
  const ok = slash < 0 || (slash <= 253 && prefix.test(text.slice(0, slash)));
  const name = text.slice(slash + 1);
  if (!ok || name === '' || !label.test(name)) throw new SelectorError(`${JSON.stringify(text)} is not a label's name`);
  return text;
}

function valueFrom(text: string): string {
  if (!label.test(text)) throw new SelectorError(`${JSON.stringify(text)} is not a label's value`);
  return text;
}

function tokenize(text: string): readonly string[] {
  const tokens = text.match(/==|!=|[=!<>(),]|[^\s=!<>(),]+|\s+/g) ?? [];
  return tokens.filter((t) => t.trim() !== '');
}
