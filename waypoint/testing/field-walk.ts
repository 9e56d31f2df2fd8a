/**
 * Tries each field of Envoy's messages on a reader: a value of a wrong type is refused by whoever reads the field, an unread one is
 * refused by its name, and what does neither is taken without effect.
 */
import protobuf from 'protobufjs';
import type { Checked } from '../../common/envoy/fields.ts';
import { envoyMessage } from '../../common/envoy/protos.ts';

export type Message = Readonly<Record<string, unknown>>;

/** A message that a compiler takes, within the resource that it takes. */
export interface WalkRoot {
  /** Full name. */
  readonly type: string;
  /** Begins the names that a refusal tells: `Cluster`. */
  readonly path: string;
  /** Instead of that of its type. */
  readonly base?: Message;
  compile(message: Message): Checked<unknown>;
}

/** `read`: its values count. `refused`: by its name. `ignored`: taken without effect. */
export type Treatment = 'read' | 'refused' | 'ignored';

/** By message and field; several where a message is read in several places. */
export type Treatments = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<Treatment>>>;

/**
 * `bases`: the least that a reader asks for, by the message's type, or by that of its owner and the field (`a.B.c`), which wins.
 * Throws with all fields that no reader came to, as something before them was refused.
 */
export function walkFields(roots: readonly WalkRoot[], bases: Readonly<Record<string, Message>>): Treatments {
  const walk = new Walk(bases);
  for (const root of roots) walk.root(root);
  if (walk.unreached.length > 0) throw new Error(walk.unreached.join('\n'));
  return walk.found;
}

/** Of no type that a field has. */
const poison = 7;
const poisonedNumber = 'poison';

interface Place {
  readonly root: WalkRoot;
  readonly path: string;
  /** The whole of the root's message with this one in its place. */
  around(message: Message): Message;
}

class Walk {
  readonly found = new Map<string, Map<string, Set<Treatment>>>();
  readonly unreached: string[] = [];
  readonly #bases: Readonly<Record<string, Message>>;
  readonly #seen = new Set<string>();

  constructor(bases: Readonly<Record<string, Message>>) {
    this.#bases = bases;
  }

  root(root: WalkRoot): void {
    const base = root.base ?? this.#base(root.type);
    const compiled = root.compile(base);
    if (compiled.kind === 'rejected') this.unreached.push(`the base of ${root.type} is refused: ${compiled.reason}`);
    this.#message(messageOf(root.type), base, { root, path: root.path, around: (message) => message });
  }

  #base(type: string): Message {
    return this.#bases[type] ?? {};
  }

  #message(type: protobuf.Type, base: Message, place: Place): void {
    for (const field of type.fieldsArray) {
      const without = withoutOthers(base, field);
      const path = `${place.path}.${field.name}`;
      const wrong = isNumber(field) ? poisonedNumber : poison;
      const compiled = place.root.compile(place.around({ ...without, [field.name]: wrong }));
      const treatment = judge(compiled, path);
      if (treatment === undefined) {
        this.unreached.push(`${path}: ${compiled.kind === 'rejected' ? compiled.reason : ''}`);
        continue;
      }
      this.#note(type, field, treatment);
      if (treatment === 'read') this.#within(type, field, without, { ...place, path });
    }
  }

  #note(type: protobuf.Type, { name }: protobuf.Field, treatment: Treatment): void {
    const key = type.fullName.slice(1);
    let fields = this.found.get(key);
    if (!fields) {
      fields = new Map();
      this.found.set(key, fields);
    }
    const before = fields.get(name);
    if (before) before.add(treatment);
    else fields.set(name, new Set([treatment]));
  }

  #within(owner: protobuf.Type, field: protobuf.Field, without: Message, place: Place): void {
    const type = field.resolvedType;
    const key = `${owner.fullName}.${field.name}`;
    if (!(type instanceof protobuf.Type) || isPlain(type) || this.#seen.has(key)) return;
    this.#seen.add(key);
    const wrap = (inner: Message) => (field.repeated ? [inner] : field.map ? { key: inner } : inner);
    const suffix = field.repeated ? '[0]' : field.map ? '[key]' : '';
    const around = (inner: Message) => place.around({ ...without, [field.name]: wrap(inner) });
    const base = this.#bases[key.slice(1)] ?? this.#base(type.fullName.slice(1));
    this.#message(type, base, { root: place.root, path: place.path + suffix, around });
  }
}

/** undefined: something else was refused first. */
function judge(compiled: Checked<unknown>, path: string): Treatment | undefined {
  if (compiled.kind === 'ok') return 'ignored';
  const own = compiled.reason.split('; ').filter((reason) => reason.replace(/^[A-Z]+: /, '').startsWith(`${path}:`));
  if (own.some((reason) => reason.endsWith(`${path}: is not supported`))) return 'refused';
  return own.length > 0 ? 'read' : undefined;
}

function messageOf(name: string): protobuf.Type {
  const type = envoyMessage(name);
  if (!type) throw new Error(`${name} is no message of Envoy's API`);
  return type;
}

/** Other members of the field's oneof would win. */
function withoutOthers(base: Message, field: protobuf.Field): Message {
  const others = field.partOf?.oneof.filter((name) => name !== field.name) ?? [];
  return Object.fromEntries(Object.entries(base).filter(([name]) => !others.includes(name)));
}

function isNumber({ type, repeated, map }: protobuf.Field): boolean {
  return !repeated && !map && !['string', 'bool', 'bytes'].includes(type) && type in protobuf.types.basic;
}

/** Messages that stand for one value; Any, whose messages are roots of their own. */
function isPlain(type: protobuf.Type): boolean {
  return type.fullName.startsWith('.google.protobuf.');
}
