/**
 * What the rules of AuthorizationPolicies say of a call, read a second time by a judge of its own that is lax where it is not sure: it
 * knows each attribute by a function that is given. Only for tests.
 */

/** `yes`, `no`, or `unknown`. */
export type Verdict = 'yes' | 'no' | 'unknown';

// biome-ignore lint/suspicious/noExplicitAny: objects as they are written
export type Loose = any;

/** Whether a value of an attribute holds for a call. */
export type Attribute<C> = (value: Loose, call: C) => Verdict;

export interface Attributes<C> {
  /** By their names in `source` and `operation`. */
  readonly fields: Readonly<Record<string, Attribute<C>>>;
  readonly condition: (key: string) => Attribute<C> | undefined;
}

export const listOf = (value: Loose): readonly Loose[] => (Array.isArray(value) ? value : []);
export const verdictOf = (holds: boolean): Verdict => (holds ? 'yes' : 'no');
const both = (all: readonly Verdict[]): Verdict =>
  all.includes('no') ? 'no' : all.includes('unknown') ? 'unknown' : 'yes';
const one = (all: readonly Verdict[]): Verdict =>
  all.includes('yes') ? 'yes' : all.includes('unknown') ? 'unknown' : 'no';
const opposite = { yes: 'no', no: 'yes', unknown: 'unknown' } as const;

export function isLike(pattern: Loose, text: string | undefined): boolean {
  const p = String(pattern);
  if (text === undefined) return false;
  if (p === '*') return true;
  if (p.startsWith('*')) return text.endsWith(p.slice(1));
  return p.endsWith('*') ? text.startsWith(p.slice(0, -1)) : p === text;
}

export function isWithin(block: Loose, ip: string): boolean {
  const [base = '', length] = String(block).split('/');
  const bits = (a: string) => a.split('.').reduce((n, part) => n * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length ?? 32));
  return !base.includes(':') && Math.floor(bits(base) / size) === Math.floor(bits(ip) / size);
}

/** Whether one of the policy's rules matches. */
export function policyVerdict<C>(policy: Loose, call: C, attributes: Attributes<C>): Verdict {
  return one(listOf(policy.spec?.rules).map((rule) => ruleVerdict(rule, call, attributes)));
}

function ruleVerdict<C>(rule: Loose, call: C, attributes: Attributes<C>): Verdict {
  const from = listOf(rule?.from).map((f) => fieldsVerdict(f?.source, call, attributes));
  const to = listOf(rule?.to).map((t) => fieldsVerdict(t?.operation, call, attributes));
  const when = listOf(rule?.when).flatMap((w) => {
    const holds = attributes.condition(String(w?.key));
    const [values, not] = [listOf(w?.values), listOf(w?.notValues)];
    return [
      ...(values.length > 0 ? [fieldVerdict(holds, values, false, call)] : []),
      ...(not.length > 0 ? [fieldVerdict(holds, not, true, call)] : []),
    ];
  });
  return both([...(from.length > 0 ? [one(from)] : []), ...(to.length > 0 ? [one(to)] : []), ...when]);
}

function fieldsVerdict<C>(fields: Loose, call: C, attributes: Attributes<C>): Verdict {
  return both(
    Object.entries(fields ?? {}).flatMap(([name, values]) => {
      if (!Array.isArray(values) || values.length === 0) return [];
      const positive = name.startsWith('not') ? `${name[3]!.toLowerCase()}${name.slice(4)}` : name;
      return [fieldVerdict(attributes.fields[positive], values, positive !== name, call)];
    }),
  );
}

function fieldVerdict<C>(holds: Attribute<C> | undefined, values: readonly Loose[], isNot: boolean, call: C): Verdict {
  if (holds === undefined) return 'unknown';
  const verdict = one(values.map((v) => holds(v, call)));
  return isNot ? opposite[verdict] : verdict;
}
