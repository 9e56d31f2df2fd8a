/** What a rule allows, and whether rules hold everything that another one grants. Pure. */
import type { Action } from '../authorizer.ts';
import type { PolicyRule } from './types.ts';

const none: readonly string[] = [];

export function allows(rule: PolicyRule, action: Action): boolean {
  if (!has(rule.verbs, action.verb)) return false;
  if (action.kind === 'path') return (rule.nonResourceURLs ?? none).some((p) => coversPath(p, action.path || '/'));
  const { group, resource, subresource, name } = action;
  const names = rule.resourceNames ?? none;
  return (
    has(rule.apiGroups ?? none, group) &&
    coversResource(rule.resources ?? none, resource, subresource) &&
    (names.length === 0 || names.includes(name))
  );
}

function has(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

function coversResource(list: readonly string[], resource: string, subresource: string): boolean {
  if (list.includes('*')) return true;
  if (subresource === '') return list.includes(resource);
  return list.includes(`${resource}/${subresource}`) || list.includes(`*/${subresource}`);
}

function coversPath(pattern: string, path: string): boolean {
  if (pattern === '*' || pattern === path) return true;
  return pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1));
}

/** A rule is taken apart into at most so many grants. */
export const grantLimit = 100_000;

/** How many grants a rule is. */
export function grantsOf(rule: PolicyRule): number {
  const resources =
    (rule.apiGroups?.length ?? 0) * (rule.resources?.length ?? 0) * Math.max(1, rule.resourceNames?.length ?? 0);
  return rule.verbs.length * (resources + (rule.nonResourceURLs?.length ?? 0));
}

/** The parts of `wanted` that `held` has not: each with one verb and one resource or path. */
export function missingFrom(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): readonly PolicyRule[] {
  const missing: PolicyRule[] = [];
  for (const rule of wanted) {
    // Most roles are granted by those who hold a rule that has all of it.
    if (held.some((h) => holds(h, rule))) continue;
    for (const grant of apart(rule)) if (!held.some((h) => holds(h, grant))) missing.push(grant);
  }
  return missing;
}

function holds(held: PolicyRule, wanted: PolicyRule): boolean {
  const all = (have: readonly string[] = none, want: readonly string[] = none) =>
    have.includes('*') || want.every((w) => have.includes(w));
  const names = held.resourceNames ?? none;
  const wantedNames = wanted.resourceNames ?? none;
  const urls = wanted.nonResourceURLs ?? none;
  const resources = wanted.resources ?? none;
  if (!all(held.verbs, wanted.verbs)) return false;
  if (!urls.every((u) => (held.nonResourceURLs ?? none).some((h) => coversPath(h, u)))) return false;
  if (resources.length === 0) return urls.length > 0;
  return (
    all(held.apiGroups, wanted.apiGroups) &&
    resources.every((r) => holdsResource(held.resources ?? none, r)) &&
    (names.length === 0 || (wantedNames.length > 0 && wantedNames.every((n) => names.includes(n))))
  );
}

function holdsResource(held: readonly string[], wanted: string): boolean {
  if (held.includes('*') || held.includes(wanted)) return true;
  const slash = wanted.indexOf('/');
  return slash >= 0 && held.includes(`*${wanted.slice(slash)}`);
}

function* apart(rule: PolicyRule): Generator<PolicyRule> {
  for (const verb of rule.verbs) {
    const verbs = [verb];
    for (const url of rule.nonResourceURLs ?? none) yield { verbs, nonResourceURLs: [url] };
    for (const group of rule.apiGroups ?? none) {
      for (const resource of rule.resources ?? none) {
        const grant = { verbs, apiGroups: [group], resources: [resource] };
        if ((rule.resourceNames ?? none).length === 0) yield grant;
        for (const name of rule.resourceNames ?? none) yield { ...grant, resourceNames: [name] };
      }
    }
  }
}

/** As Kubernetes' refusals write it. */
export function ruleText({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }: PolicyRule): string {
  const parts = Object.entries({
    APIGroups: apiGroups,
    Resources: resources,
    ResourceNames: resourceNames,
    NonResourceURLs: nonResourceURLs,
    Verbs: verbs,
  });
  const texts = parts.flatMap(([name, list]) =>
    list === undefined || list.length === 0 ? [] : [`${name}:${quoted(list)}`],
  );
  return `{${texts.join(', ')}}`;
}

/** `["a" "b"]`. */
export function quoted(list: readonly string[]): string {
  return `[${list.map((v) => JSON.stringify(v)).join(' ')}]`;
}
