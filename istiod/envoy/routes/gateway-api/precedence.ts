/** Which of several matches decides: the Gateway API's rules, over all routes of a service. */

/** A match with what ranks it. Numbers are compared one after another, the larger one first. */
export interface Ranked {
  readonly rank: readonly number[];
  /** Of the route: RFC 3339, empty where there is none. */
  readonly created: string;
  /** `namespace/name` of the route. */
  readonly route: string;
}

/** Matches of one route come in the order in which they are written, and stay so where nothing ranks them. */
export function byPrecedence<T extends Ranked>(matches: readonly T[]): readonly T[] {
  return [...matches].sort((a, b) => {
    for (const [i, number] of a.rank.entries()) if (number !== b.rank[i]) return b.rank[i]! - number;
    if (a.created !== b.created) return a.created < b.created ? -1 : 1;
    return a.route === b.route ? 0 : a.route < b.route ? -1 : 1;
  });
}
