/** Expressions of CEL as trees, and how they fail. */

/** What a program says is wrong with itself, or with the values that it met. */
export class CelError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CelError';
  }
}

/** The program did too much; unlike other errors `||` and `&&` do not swallow it. */
export class CelCostError extends Error {
  constructor() {
    super('the expression costs more than it may; shorten lists by maxItems, or the expression');
    this.name = 'CelCostError';
  }
}

/** `at`: the character where it begins. */
export type Node = { readonly at: number } & (
  | { readonly kind: 'literal'; readonly value: Literal }
  | { readonly kind: 'name'; readonly name: string }
  /** `optional`: `a.?b`. */
  | { readonly kind: 'select'; readonly of: Node; readonly field: string; readonly optional: boolean }
  | { readonly kind: 'index'; readonly of: Node; readonly index: Node; readonly optional: boolean }
  /** `target` is undefined for functions that stand alone; `strings.quote(x)` has the name `quote` and a target. */
  | { readonly kind: 'call'; readonly name: string; readonly target: Node | undefined; readonly args: readonly Node[] }
  | { readonly kind: 'list'; readonly items: readonly { readonly value: Node; readonly optional: boolean }[] }
  | {
      readonly kind: 'map';
      readonly entries: readonly { readonly key: Node; readonly value: Node; readonly optional: boolean }[];
    }
  | { readonly kind: 'unary'; readonly operator: '!' | '-'; readonly of: Node }
  | { readonly kind: 'binary'; readonly operator: BinaryOperator; readonly left: Node; readonly right: Node }
  | { readonly kind: 'conditional'; readonly test: Node; readonly yes: Node; readonly no: Node }
);

export type Literal =
  | { readonly type: 'null' }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'int' | 'uint'; readonly value: bigint }
  | { readonly type: 'double'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'bytes'; readonly value: Uint8Array };

export type BinaryOperator = '||' | '&&' | '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | '+' | '-' | '*' | '/' | '%';
