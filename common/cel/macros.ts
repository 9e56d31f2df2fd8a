/** Calls that bind names or leave arguments out: the checker and the interpreter read the same shapes. Pure. */
import { CelError, type Node } from './ast.ts';
import type { Overload } from './functions.ts';
import { library } from './library.ts';

export type Macro =
  | { readonly kind: 'has'; readonly of: Node; readonly field: string }
  /** Goes over a list's items or a map's keys; with two names over index and item, or key and value. */
  | {
      readonly kind: 'comprehension';
      readonly does: 'all' | 'exists' | 'existsOne' | 'filter' | 'map' | 'list' | 'entries' | 'merge' | 'sortBy';
      readonly over: Node;
      readonly names: readonly string[];
      /** Of map and its kin: which are taken. */
      readonly filter: Node | undefined;
      readonly body: Node;
    }
  | { readonly kind: 'bind'; readonly name: string; readonly value: Node; readonly body: Node }
  /** `optMap`, `optFlatMap` (flat). */
  | { readonly kind: 'optional'; readonly of: Node; readonly name: string; readonly body: Node; readonly flat: boolean }
  /** `orValue`, `or` (optional). */
  | { readonly kind: 'otherwise'; readonly of: Node; readonly other: Node; readonly optional: boolean };

const comprehensions = {
  all: 'all',
  exists: 'exists',
  exists_one: 'existsOne',
  existsOne: 'existsOne',
  filter: 'filter',
  map: 'map',
  sortBy: 'sortBy',
  transformList: 'list',
  transformMap: 'entries',
  transformMapEntry: 'merge',
} as const;

/** How many arguments a comprehension has, with one name and with two. */
const shapes = {
  all: [2, 3],
  exists: [2, 3],
  existsOne: [2, 3],
  filter: [2],
  sortBy: [2],
  map: [2, 3],
  list: [3, 4],
  entries: [3, 4],
  merge: [3, 4],
} as const;

/** undefined: a call of a function. CelError where it is a macro, badly called. */
export function macroOf(node: Node & { readonly kind: 'call' }): Macro | undefined {
  const { name, target, args } = node;
  const [first, second, third] = args;
  if (target === undefined) {
    if (name !== 'has') return undefined;
    if (args.length !== 1 || first?.kind !== 'select' || first.optional)
      throw new CelError('has takes one field, such as has(self.a)');
    return { kind: 'has', of: first.of, field: first.field };
  }
  if (target.kind === 'name' && target.name === 'cel' && name === 'bind') {
    if (args.length !== 3) throw new CelError('cel.bind takes a name, its value and an expression');
    return { kind: 'bind', name: nameOf(first), value: second!, body: third! };
  }
  if (name === 'optMap' || name === 'optFlatMap') {
    if (args.length !== 2) throw new CelError(`${name} takes a name and an expression`);
    return { kind: 'optional', of: target, name: nameOf(first), body: second!, flat: name === 'optFlatMap' };
  }
  if ((name === 'orValue' || name === 'or') && args.length === 1)
    return { kind: 'otherwise', of: target, other: first!, optional: name === 'or' };
  const does = Object.hasOwn(comprehensions, name) ? comprehensions[name as keyof typeof comprehensions] : undefined;
  if (does === undefined) return undefined;
  if (!(shapes[does] as readonly number[]).includes(args.length))
    throw new CelError(`${name} does not take ${args.length} arguments`);
  const two = does === 'list' || does === 'entries' || does === 'merge' || (args.length === 3 && does !== 'map');
  const names = (two ? args.slice(0, 2) : args.slice(0, 1)).map(nameOf);
  const rest = args.slice(names.length);
  if (new Set(names).size < names.length) throw new CelError(`${name} names two things ${names[0]}`);
  return {
    kind: 'comprehension',
    does,
    over: target,
    names,
    filter: rest.length === 2 ? rest[0] : undefined,
    body: rest.at(-1)!,
  };
}

function nameOf(node: Node | undefined): string {
  if (node?.kind !== 'name') throw new CelError('a macro wants a name for what it goes over');
  return node.name;
}

/** Functions that a call means when it is no call of a member: `size(a)`, and `lists.range(3)`, whose namespace is no value. */
export function standingAlone({ name, target }: Node & { readonly kind: 'call' }): readonly Overload[] {
  if (target === undefined) return library.find(name, false);
  return target.kind === 'name' ? library.find(`${target.name}.${name}`, false) : [];
}
