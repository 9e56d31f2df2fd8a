/** What is wrong with a piece of a Kubernetes folder; the rest of the folder is served all the same. */
export interface Problem {
  /** Relative to the folder. */
  readonly file: string;
  /** From 1; absent when the whole file is meant. */
  readonly line?: number;
  readonly column?: number;
  /** `AuthorizationPolicy shop/deny-all`; absent when the text does not say which object it is. */
  readonly object?: string;
  /** Path of the field, `spec.rules[0].from`; absent when the document or the file is meant. */
  readonly field?: string;
  /** What is wrong and what was expected. */
  readonly message: string;
}

/** `policies.yaml:12:7: AuthorizationPolicy shop/deny-all: spec.rulez: unknown field; did you mean "rules"?` */
export function formatProblem(p: Problem): string {
  const place = p.line === undefined ? p.file : `${p.file}:${p.line}:${p.column ?? 1}`;
  return [place, p.object, p.field, p.message].filter((s) => s !== undefined).join(': ');
}
