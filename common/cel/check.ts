/** Types of expressions before they run: fields that are not there and functions that do not take what they get are found early. */
import { assertNever } from '../core/errors.ts';
import { CelError, type Node } from './ast.ts';
import type { Overload } from './functions.ts';
import { library } from './library.ts';
import { type Macro, macroOf, standingAlone } from './macros.ts';

export type Type =
  | { readonly kind: 'dyn' }
  /** As typeOf names values. */
  | { readonly kind: 'simple'; readonly name: string }
  | { readonly kind: 'list'; readonly item: Type }
  | { readonly kind: 'map'; readonly key: Type; readonly value: Type }
  | { readonly kind: 'object'; readonly fields: ReadonlyMap<string, Type> }
  | { readonly kind: 'optional'; readonly of: Type };

export const dyn: Type = { kind: 'dyn' };
export const simple = (name: string): Type => ({ kind: 'simple', name });
const [bool, int, text] = [simple('bool'), simple('int'), simple('string')];
const typeNames = new Set(['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type']);

type Names = ReadonlyMap<string, Type>;

/** The expression's type. CelError. */
export function checkCel(node: Node, names: Names): Type {
  switch (node.kind) {
    case 'literal':
      return simple(node.value.type === 'null' ? 'null_type' : node.value.type);
    case 'name': {
      const found = names.get(node.name) ?? (typeNames.has(node.name) ? simple('type') : undefined);
      if (found === undefined) throw new CelError(`undeclared reference to '${node.name}'`);
      return found;
    }
    case 'select': {
      const found = fieldType(checkCel(node.of, names), node.field);
      return node.optional ? optional(found) : found;
    }
    case 'index': {
      const of = checkCel(node.of, names);
      checkCel(node.index, names);
      const found = itemType(of.kind === 'optional' ? of.of : of);
      return node.optional || of.kind === 'optional' ? optional(found) : found;
    }
    case 'call':
      return callType(node, names);
    case 'list': {
      const items = node.items.map((i) => checkCel(i.value, names));
      return { kind: 'list', item: common(items) };
    }
    case 'map': {
      const keys = node.entries.map((e) => checkCel(e.key, names));
      return { kind: 'map', key: common(keys), value: common(node.entries.map((e) => checkCel(e.value, names))) };
    }
    case 'unary': {
      const of = checkCel(node.of, names);
      if (node.operator === '!') expectType(of, 'bool');
      return node.operator === '!' ? bool : of;
    }
    case 'binary':
      return binaryType(node, names);
    case 'conditional':
      expectType(checkCel(node.test, names), 'bool');
      return common([checkCel(node.yes, names), checkCel(node.no, names)]);
    default:
      return assertNever(node);
  }
}

function optional(of: Type): Type {
  return of.kind === 'optional' ? of : { kind: 'optional', of };
}

function fieldType(of: Type, field: string): Type {
  switch (of.kind) {
    case 'dyn':
      return dyn;
    case 'map':
      return of.value;
    case 'optional':
      return optional(fieldType(of.of, field));
    case 'object': {
      const found = of.fields.get(field);
      if (found === undefined) throw new CelError(`undefined field '${field}'`);
      return found;
    }
    default:
      throw new CelError(`type '${nameOf(of)}' does not support field selection`);
  }
}

function itemType(of: Type): Type {
  if (of.kind === 'list') return of.item;
  if (of.kind === 'map') return of.value;
  if (of.kind === 'dyn') return dyn;
  throw new CelError(`type '${nameOf(of)}' has no items`);
}

function nameOf(type: Type): string {
  switch (type.kind) {
    case 'simple':
      return type.name;
    case 'object':
      return 'map';
    case 'optional':
      return 'optional_type';
    default:
      return type.kind;
  }
}

function expectType(type: Type, name: string): void {
  if (type.kind !== 'dyn' && nameOf(type) !== name)
    throw new CelError(`expected type '${name}' but found '${nameOf(type)}'`);
}

/** dyn where they differ. */
function common(types: readonly Type[]): Type {
  const [first] = types;
  if (first === undefined) return dyn;
  if (!types.every((t) => nameOf(t) === nameOf(first))) return dyn;
  return first.kind === 'simple' || types.length === 1
    ? first
    : first.kind === 'list'
      ? { kind: 'list', item: common(types.map(itemType)) }
      : first.kind === 'object' && types.every((t) => t === first)
        ? first
        : dyn;
}

const numbers = ['int', 'uint', 'double'];
const ordered = [...numbers, 'bool', 'string', 'bytes', 'timestamp', 'duration'];

function binaryType({ operator, left, right }: Node & { readonly kind: 'binary' }, names: Names): Type {
  const [a, b] = [checkCel(left, names), checkCel(right, names)];
  const fail = (): never => {
    throw new CelError(`found no matching overload for '_${operator}_' applied to '(${nameOf(a)}, ${nameOf(b)})'`);
  };
  const [x, y] = [nameOf(a), nameOf(b)];
  const open = x === 'dyn' || y === 'dyn';
  switch (operator) {
    case '||':
    case '&&':
      expectType(a, 'bool');
      expectType(b, 'bool');
      return bool;
    case '==':
    case '!=':
      if (!open && x !== y && x !== 'null_type' && y !== 'null_type') fail();
      return bool;
    case '<':
    case '<=':
    case '>':
    case '>=':
      if (!open && !((x === y && ordered.includes(x)) || (numbers.includes(x) && numbers.includes(y)))) fail();
      return bool;
    case 'in':
      if (!['list', 'map', 'dyn'].includes(y)) fail();
      return bool;
    default:
      break;
  }
  if (open) return dyn;
  const pair = `${x} ${y}`;
  if (pair === 'timestamp timestamp' && operator === '-') return simple('duration');
  if ((pair === 'timestamp duration' && '+-'.includes(operator)) || (pair === 'duration timestamp' && operator === '+'))
    return simple('timestamp');
  if (x !== y) return fail();
  if (['int', 'uint'].includes(x) || (x === 'double' && operator !== '%')) return a;
  if (operator === '+' && ['string', 'bytes', 'duration'].includes(x)) return a;
  if (operator === '+' && a.kind === 'list' && b.kind === 'list')
    return { kind: 'list', item: common([a.item, b.item]) };
  if (operator === '-' && x === 'duration') return a;
  return fail();
}

function callType(node: Node & { readonly kind: 'call' }, names: Names): Type {
  const macro = macroOf(node);
  if (macro !== undefined) return macroType(macro, names);
  const own = standingAlone(node);
  if (node.target === undefined || own.length > 0) {
    return overloadType(
      own,
      node.name,
      node.args.map((a) => checkCel(a, names)),
    );
  }
  const args = [node.target, ...node.args].map((a) => checkCel(a, names));
  return overloadType(library.find(node.name, true), node.name, args);
}

function overloadType(overloads: readonly Overload[], name: string, args: readonly Type[]): Type {
  if (overloads.length === 0) throw new CelError(`undeclared reference to '${name}'`);
  const fitting = overloads.filter(
    (o) =>
      o.args.length === args.length &&
      o.args.every((want, i) => want === 'dyn' || args[i]!.kind === 'dyn' || want === nameOf(args[i]!)),
  );
  if (fitting.length === 0) {
    throw new CelError(`found no matching overload for '${name}' applied to '(${args.map(nameOf).join(', ')})'`);
  }
  const results = new Set(fitting.map((o) => o.result));
  return results.size === 1 ? resultType([...results][0]!, args[0]) : dyn;
}

function resultType(result: string, first: Type | undefined): Type {
  if (result === 'first') return first ?? dyn;
  if (result === 'item') return first?.kind === 'list' ? first.item : dyn;
  const m = /^(list|optional)<(.*)>$/.exec(result);
  if (m !== null) {
    const inner = resultType(m[2]!, undefined);
    return m[1] === 'list' ? { kind: 'list', item: inner } : { kind: 'optional', of: inner };
  }
  if (result === 'map') return { kind: 'map', key: dyn, value: dyn };
  return result === 'dyn' ? dyn : simple(result);
}

function macroType(macro: Macro, names: Names): Type {
  switch (macro.kind) {
    case 'has':
      fieldType(checkCel(macro.of, names), macro.field);
      return bool;
    case 'bind':
      return checkCel(macro.body, new Map([...names, [macro.name, checkCel(macro.value, names)]]));
    case 'otherwise': {
      const of = checkCel(macro.of, names);
      const other = checkCel(macro.other, names);
      expectType(of, 'optional_type');
      return macro.optional ? of : common([of.kind === 'optional' ? of.of : dyn, other]);
    }
    case 'optional': {
      const of = checkCel(macro.of, names);
      expectType(of, 'optional_type');
      const made = checkCel(macro.body, new Map([...names, [macro.name, of.kind === 'optional' ? of.of : dyn]]));
      return optional(made);
    }
    case 'comprehension':
      return comprehensionType(macro, names);
    default:
      return assertNever(macro);
  }
}

function comprehensionType(macro: Macro & { readonly kind: 'comprehension' }, names: Names): Type {
  const over = checkCel(macro.over, names);
  if (!['list', 'map', 'dyn'].includes(nameOf(over)))
    throw new CelError(`expression of type '${nameOf(over)}' cannot be range of a comprehension`);
  const key = over.kind === 'list' ? int : over.kind === 'map' ? over.key : over.kind === 'object' ? text : dyn;
  const value = over.kind === 'object' ? dyn : itemType(over);
  const [one, two] = macro.names;
  const inner = new Map(names);
  if (two === undefined) inner.set(one!, over.kind === 'list' ? value : key);
  else inner.set(one!, key).set(two, value);
  if (macro.filter !== undefined) expectType(checkCel(macro.filter, inner), 'bool');
  const body = checkCel(macro.body, inner);
  switch (macro.does) {
    case 'all':
    case 'exists':
    case 'existsOne':
      expectType(body, 'bool');
      return bool;
    case 'filter':
      expectType(body, 'bool');
      return over.kind === 'list' ? over : { kind: 'list', item: key };
    case 'sortBy':
      return over;
    case 'map':
    case 'list':
      return { kind: 'list', item: body };
    case 'entries':
      return { kind: 'map', key, value: body };
    case 'merge':
      return body;
    default:
      return assertNever(macro.does);
  }
}
