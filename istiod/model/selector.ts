/** Label selectors of equality, as Services and policies use them. */
export type Labels = Readonly<Record<string, string>>;

/** An empty selector matches everything. */
export function selects(selector: Labels, labels: Labels | undefined): boolean {
  return Object.entries(selector).every(
    ([k, v]) => labels !== undefined && Object.hasOwn(labels, k) && labels[k] === v,
  );
}
