/** What a manifest says and the lab does not do. Nothing of a manifest is passed over in silence. */
import { isDeepStrictEqual } from 'node:util';

export interface FieldProblem {
  /** `spec.containers[0].livenessProbe.grpc` */
  readonly field: string;
  readonly message: string;
}

/** What becomes of a field; lab/manifest/fields.ts has them all. */
export type FieldRule =
  | { readonly kind: 'honoured' }
  /** It makes no difference in a lab. */
  | { readonly kind: 'moot'; readonly because: string }
  /** Whoever gives it is told. `unless` are values that ask for nothing. */
  | { readonly kind: 'refused'; readonly because: string; readonly unless: readonly unknown[] };

export type FieldRules = Readonly<Record<string, FieldRule>>;

export class Problems {
  readonly found: FieldProblem[] = [];

  add(field: string, message: string): void {
    this.found.push({ field, message });
  }

  /** Reports every field of `value` that is refused, or that has no rule. */
  check(value: object | undefined | null, field: string, rules: FieldRules): void {
    for (const [key, content] of Object.entries(value ?? {})) {
      if (content === undefined || content === null) continue;
      const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
      if (rule === undefined) this.add(`${field}.${key}`, 'a lab does not honour this field, which it does not know');
      else if (rule.kind === 'refused' && !rule.unless.some((v) => isDeepStrictEqual(v, content)))
        this.add(`${field}.${key}`, `a lab does not honour this field: ${rule.because}`);
    }
  }

  /** Reports every field of `value` that is not among `honoured`. */
  only(value: object | undefined | null, field: string, honoured: readonly string[]): void {
    for (const [key, content] of Object.entries(value ?? {})) {
      if (content === undefined || honoured.includes(key)) continue;
      this.add(`${field}.${key}`, `a lab does not honour this field; it knows ${honoured.join(', ')}`);
    }
  }
}

/** `Pod shop/web: spec.hostPID: ...`, one line a problem. */
export function formatFieldProblems(object: string, problems: readonly FieldProblem[]): string {
  return problems.map((p) => `${object}: ${p.field}: ${p.message}`).join('\n');
}
