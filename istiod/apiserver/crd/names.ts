/** Which definitions get their names: nothing is served under a name that another resource of its group has. Pure. */
import type { CustomResourceDefinition, DefinitionNames } from '../../../common/kube/kinds/extension.ts';
import type { Resource } from '../resources/resource.ts';
import { isTrue } from './definition.ts';

export type Decision =
  | { readonly kind: 'accepted' }
  /** `reason` and `message` of its condition. */
  | { readonly kind: 'conflict'; readonly reason: string; readonly message: string };

/** Names of a group that are taken: those of resources and those of kinds. */
interface Taken {
  readonly resources: Set<string>;
  readonly kinds: Set<string>;
}

/** Whoever has its names keeps them; others come in the order of their creation. */
export function decideNames(
  definitions: readonly CustomResourceDefinition[],
  builtIn: readonly Resource[],
): ReadonlyMap<string, Decision> {
  const groups = new Map<string, Taken>();
  const takenOf = (group: string): Taken => {
    const taken = groups.get(group) ?? { resources: new Set(), kinds: new Set() };
    groups.set(group, taken);
    return taken;
  };
  for (const { group, resource, singular, shortNames, kind, listKind } of builtIn) {
    const { resources, kinds } = takenOf(group);
    for (const name of [resource, singular, ...shortNames]) resources.add(name);
    for (const name of [kind, listKind]) kinds.add(name);
  }
  const decisions = new Map<string, Decision>();
  for (const definition of [...definitions].sort(inOrder)) {
    const { names, group } = definition.spec;
    const taken = takenOf(group);
    const conflict = conflictOf(names, taken);
    decisions.set(definition.metadata.name, conflict ?? { kind: 'accepted' });
    if (conflict !== undefined) continue;
    for (const name of [names.plural, names.singular ?? '', ...(names.shortNames ?? [])]) taken.resources.add(name);
    for (const name of [names.kind, names.listKind ?? '']) taken.kinds.add(name);
  }
  return decisions;
}

function conflictOf(names: DefinitionNames, { resources, kinds }: Taken): Decision | undefined {
  const found: (readonly [reason: string, name: string])[] = [];
  const look = (reason: string, name: string | undefined, taken: ReadonlySet<string>) => {
    if (name !== undefined && name !== '' && taken.has(name)) found.push([reason, name]);
  };
  look('PluralConflict', names.plural, resources);
  look('SingularConflict', names.singular, resources);
  for (const name of names.shortNames ?? []) look('ShortNamesConflict', name, resources);
  look('KindConflict', names.kind, kinds);
  look('ListKindConflict', names.listKind, kinds);
  if (found.length === 0) return undefined;
  const reason = found.length === 1 ? found[0]![0] : 'MultipleConflicts';
  return {
    kind: 'conflict',
    reason,
    message: found.map(([, name]) => `${JSON.stringify(name)} is already in use`).join(', '),
  };
}

function inOrder(a: CustomResourceDefinition, b: CustomResourceDefinition): number {
  const established = Number(isTrue(b, 'Established')) - Number(isTrue(a, 'Established'));
  if (established !== 0) return established;
  const [x, y] = [keyOf(a), keyOf(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function keyOf({ metadata }: CustomResourceDefinition): string {
  return `${metadata.creationTimestamp ?? ''} ${metadata.name}`;
}
