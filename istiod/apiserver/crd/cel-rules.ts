/**
 * `x-kubernetes-validations` of a schema: compiled once, run at each write beside the present object. A rule that names `oldSelf`
 * is about changes: it runs where a value was before, found by its name, or in a list by its keys.
 */
import { isDeepStrictEqual } from 'node:util';
import { CelCostError, CelError, type Node } from '../../../common/cel/ast.ts';
import { checkCel, type Type } from '../../../common/cel/check.ts';
import { parseCel } from '../../../common/cel/parser.ts';
import { Budget, runCel } from '../../../common/cel/run.ts';
import { Optional, type Value } from '../../../common/cel/values.ts';
import type { CelRule, Schema } from '../../../common/kube/schema/types.ts';
import { formatPath, isObject, type Path } from '../../../common/kube/schema/validate.ts';
import type { Cause, CauseType } from '../status.ts';
import { celType, celValue } from './cel-values.ts';

interface Program {
  readonly rule: CelRule;
  readonly test: Node;
  readonly message: Node | undefined;
  readonly transition: boolean;
  readonly fieldPath: Path;
}

/** Mirrors a schema, where there are rules in it or below. */
interface RuleTree {
  readonly schema: Schema;
  readonly programs: readonly Program[];
  /** Whether a rule here or below names `oldSelf`: those run for what did not change, too. */
  readonly transitions: boolean;
  readonly properties: ReadonlyMap<string, RuleTree>;
  readonly values: RuleTree | undefined;
  readonly items: RuleTree | undefined;
}

export interface CompiledRules {
  readonly causes: readonly Cause[];
  /** What is wrong with an object that is valid otherwise. */
  check(object: unknown, old: unknown): readonly Cause[];
}

/** Steps for all rules of one write: some tenths of a second at most. */
const stepLimit = 3_000_000;

/** `field`: of the schema, for causes. */
export function compileRules(schema: Schema, field: string): CompiledRules {
  const causes: Cause[] = [];
  const tree = compile(visible(schema), field, true, causes);
  return {
    causes,
    check(object, old) {
      if (tree === undefined) return [];
      const run = new RuleRun();
      try {
        run.visit(tree, object, old, []);
      } catch (e) {
        if (!(e instanceof CelCostError)) throw e;
        run.causes.push({ reason: 'FieldValueInvalid', message: `validation failed: ${e.message}` });
      }
      return run.causes;
    },
  };
}

/** Of the root's metadata rules see the names alone. */
function visible(schema: Schema): Schema {
  if (schema.type !== 'object' || schema.properties?.['metadata'] === undefined) return schema;
  const metadata: Schema = {
    type: 'object',
    properties: { name: { type: 'string' }, generateName: { type: 'string' } },
  };
  return { ...schema, properties: { ...schema.properties, metadata } };
}

/** `correlated`: values here can be found in the old object. */
function compile(schema: Schema, field: string, correlated: boolean, causes: Cause[]): RuleTree | undefined {
  const own = schema['x-kubernetes-validations'] ?? [];
  const type = own.length === 0 ? undefined : celType(schema);
  const programs = own.flatMap((rule, i) => {
    const at = `${field}.x-kubernetes-validations[${i}]`;
    return program(rule, type!, schema, at, correlated, causes) ?? [];
  });
  const properties = new Map<string, RuleTree>();
  let values: RuleTree | undefined;
  let items: RuleTree | undefined;
  if (schema.type === 'object') {
    const inner = correlated && schema['x-kubernetes-map-type'] !== 'atomic';
    for (const [name, member] of Object.entries(schema.properties ?? {})) {
      const tree = compile(embedded(member), `${field}.properties[${name}]`, inner, causes);
      if (tree !== undefined) properties.set(name, tree);
    }
    if (schema.additionalProperties !== undefined) {
      values = compile(schema.additionalProperties, `${field}.additionalProperties`, inner, causes);
    }
  } else if (schema.type === 'array') {
    items = compile(schema.items, `${field}.items`, correlated && schema['x-kubernetes-list-type'] === 'map', causes);
  }
  if (programs.length === 0 && properties.size === 0 && values === undefined && items === undefined) return undefined;
  const below = [...properties.values(), ...(values ? [values] : []), ...(items ? [items] : [])];
  const transitions = programs.some((p) => p.transition) || below.some((t) => t.transitions);
  return { schema, programs, transitions, properties, values, items };
}

function embedded(schema: Schema): Schema {
  return schema.type === 'object' && schema['x-kubernetes-embedded-resource'] ? visible(schema) : schema;
}

function program(
  rule: CelRule,
  self: Type,
  schema: Schema,
  field: string,
  correlated: boolean,
  causes: Cause[],
): Program | undefined {
  const bad = (name: string, message: string) =>
    causes.push({ reason: 'FieldValueInvalid', field: `${field}.${name}`, message });
  const oldSelf: Type = rule.optionalOldSelf ? { kind: 'optional', of: self } : self;
  const names = new Map<string, Type>([
    ['self', self],
    ['oldSelf', oldSelf],
  ]);
  const expression = (name: 'rule' | 'messageExpression', expected: string): Node | undefined => {
    const text = rule[name];
    if (text === undefined || text.trim() === '') return undefined;
    try {
      const node = parseCel(text);
      const type = checkCel(node, names);
      const fits = type.kind === 'dyn' || (type.kind === 'simple' && type.name === expected);
      if (!fits) throw new CelError(`must give a ${expected}`);
      return node;
    } catch (e) {
      if (!(e instanceof CelError)) throw e;
      bad(name, `compilation failed: ${e.message}`);
      return undefined;
    }
  };
  const test = expression('rule', 'bool');
  const message = expression('messageExpression', 'string');
  const fieldPath = pathIn(schema, rule.fieldPath ?? '');
  if (fieldPath === undefined)
    bad('fieldPath', `${JSON.stringify(rule.fieldPath)} is no path of fields below this schema`);
  if (test === undefined || fieldPath === undefined) return undefined;
  const transition = mentions(test, 'oldSelf');
  if (transition && !correlated) {
    bad(
      'rule',
      'oldSelf cannot be used below a list that is not of type map, or an atomic map: what was there before cannot be told',
    );
  }
  if (rule.optionalOldSelf && !transition) bad('optionalOldSelf', 'is for rules that use oldSelf');
  return { rule, test, message, transition, fieldPath };
}

/** `.spec.names['a.b']` as names; undefined where the schema has no such field. */
function pathIn(schema: Schema, text: string): Path | undefined {
  const path: string[] = [];
  let at: Schema | undefined = schema;
  let rest = text;
  while (rest !== '') {
    const m = /^(?:\.([A-Za-z_][\w-]*)|\['((?:[^'\\]|\\.)*)'\])/.exec(rest);
    if (m === null || at?.type !== 'object') return undefined;
    const name = m[1] ?? m[2]!.replace(/\\(.)/g, '$1');
    at = Object.hasOwn(at.properties ?? {}, name) ? at.properties![name] : at.additionalProperties;
    if (at === undefined) return undefined;
    path.push(name);
    rest = rest.slice(m[0].length);
  }
  return path;
}

/** Names that macros bind hide it, which is no use that counts; nobody writes that. */
function mentions(node: unknown, name: string): boolean {
  if (Array.isArray(node)) return node.some((n) => mentions(n, name));
  if (typeof node !== 'object' || node === null) return false;
  if ('kind' in node && node.kind === 'name' && 'name' in node && node.name === name) return true;
  return Object.values(node).some((n) => mentions(n, name));
}

class RuleRun {
  readonly causes: Cause[] = [];
  readonly #budget = new Budget(stepLimit);

  /**
   * `old` is undefined where there was nothing. What is as it was is not judged again, as in Kubernetes (KEP-4008): a definition that
   * became stricter keeps nobody from changing something else, and a write of a status costs no rules of the spec.
   */
  visit(tree: RuleTree, value: unknown, old: unknown, path: Path, isPartOfOld = false): void {
    if (value === null || value === undefined) return;
    const isOld = isPartOfOld || isDeepStrictEqual(value, old);
    if (isOld && !tree.transitions) return;
    if (tree.programs.length > 0) this.#programs(tree, value, old, path, isOld);
    if (isObject(value)) {
      const before = isObject(old) ? old : {};
      for (const [name, member] of tree.properties) {
        if (Object.hasOwn(value, name)) this.visit(member, value[name], own(before, name), [...path, name], isOld);
      }
      if (tree.values !== undefined) {
        for (const [name, member] of Object.entries(value)) {
          this.visit(tree.values, member, own(before, name), [...path, name], isOld);
        }
      }
    } else if (Array.isArray(value) && tree.items !== undefined) {
      const find = correlate(tree.schema, old);
      for (const [i, item] of value.entries()) this.visit(tree.items, item, find(item), [...path, i], isOld);
    }
  }

  #programs({ programs, schema }: RuleTree, value: unknown, old: unknown, path: Path, isOld: boolean): void {
    if (isOld && !programs.some((p) => p.transition)) return;
    const self = celValue(schema, value);
    const hasOld = old !== undefined && old !== null;
    const oldSelf = hasOld ? celValue(schema, old) : undefined;
    for (const program of programs) {
      const { rule, transition } = program;
      if (isOld && !transition) continue;
      if (transition && oldSelf === undefined && !rule.optionalOldSelf) continue;
      const variables: Record<string, Value> = { self };
      if (rule.optionalOldSelf) variables['oldSelf'] = new Optional(oldSelf);
      else if (oldSelf !== undefined) variables['oldSelf'] = oldSelf;
      this.#program(program, variables, path);
    }
  }

  #program({ rule, test, message, fieldPath }: Program, variables: Readonly<Record<string, Value>>, path: Path): void {
    const field = formatPath([...path, ...fieldPath]);
    const reason: CauseType = rule.reason ?? 'FieldValueInvalid';
    const fail = (text: string) => this.causes.push({ reason, message: text, ...(field === '' ? {} : { field }) });
    try {
      if (runCel(test, variables, this.#budget) === true) return;
    } catch (e) {
      if (!(e instanceof CelError)) throw e;
      fail(`rule evaluation error: ${e.message} (rule: ${rule.rule.trim()})`);
      return;
    }
    fail(this.#message(message, variables) ?? (rule.message?.trim() || `failed rule: ${rule.rule.trim()}`));
  }

  /** undefined: the expression failed, or says nothing that can be shown. */
  #message(message: Node | undefined, variables: Readonly<Record<string, Value>>): string | undefined {
    if (message === undefined) return undefined;
    try {
      const text = runCel(message, variables, this.#budget);
      return typeof text === 'string' && text.trim() !== '' && !/[\r\n]/.test(text) ? text.trim() : undefined;
    } catch (e) {
      if (!(e instanceof CelError)) throw e;
      return undefined;
    }
  }
}

function own(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Finds an item's old self by the keys of the list; there is none in other lists. */
function correlate(schema: Schema, old: unknown): (item: unknown) => unknown {
  const keys = schema.type === 'array' ? schema['x-kubernetes-list-map-keys'] : undefined;
  if (keys === undefined || !Array.isArray(old)) return () => undefined;
  const keysOf = (item: unknown) => (isObject(item) ? keys.map((k) => own(item, k)) : undefined);
  return (item) => {
    const wanted = keysOf(item);
    return wanted === undefined ? undefined : old.find((o) => isDeepStrictEqual(keysOf(o), wanted));
  };
}
