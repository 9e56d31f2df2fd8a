/** What a manifest says and the lab does not do. Nothing of a manifest is passed over in silence. */
export interface FieldProblem {
  /** `spec.containers[0].livenessProbe.grpc` */
  readonly field: string;
  readonly message: string;
}

export class Problems {
  readonly found: FieldProblem[] = [];

  add(field: string, message: string): void {
    this.found.push({ field, message });
  }

  /** Reports every field of `value` that is not among `honoured`. */
  only(value: object | undefined, field: string, honoured: readonly string[]): void {
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
