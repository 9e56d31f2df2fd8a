/** Which branches of some files ran, as V8 counts them, and what is allowed not to. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { EventData } from 'node:test';

type Summary = EventData.TestCoverage['summary'];

/** Functions that never ran count as one branch. */
export interface Branches {
  readonly covered: number;
  readonly total: number;
  readonly uncovered: readonly Uncovered[];
}

export interface Uncovered {
  readonly file: string;
  readonly line: number;
  /** Of that line. */
  readonly text: string;
}

/** A branch that no test can reach. */
export interface Unreachable {
  readonly file: string;
  /** Part of the line on which the branch starts. */
  readonly text: string;
  readonly reason: string;
}

/** V8 counts what sets up the fields of a class once more, as a function that never runs, and in some runs as a branch, too. */
const initializer = '<instance_members_initializer>';

/** `root`: paths are told from here. */
export function branchesOf({ files }: Summary, root: string): Branches {
  let [covered, total] = [0, 0];
  const uncovered: Uncovered[] = [];
  for (const { path, branches: every, functions: all, totalBranchCount, coveredBranchCount } of files) {
    const functions = all.filter(({ name }) => name !== initializer);
    const fields = new Set(all.filter(({ name }) => name === initializer).map(({ line }) => line));
    const branches = every.filter(({ line, count }) => count > 0 || !fields.has(line));
    const source = readFileSync(path, 'utf8').split('\n');
    const lines = [...branches, ...functions].filter(({ count }) => count === 0).map(({ line }) => line);
    const never = functions.filter(({ count }) => count === 0).length;
    covered += coveredBranchCount;
    total += totalBranchCount - (every.length - branches.length) + never;
    const file = relative(root, path);
    for (const line of lines.toSorted((a, b) => a - b)) uncovered.push({ file, line, text: source[line - 1] ?? '' });
  }
  return { covered, total, uncovered };
}

/** Uncovered branches that no row allows, and rows that allow none. */
export function unexplained(
  { uncovered }: Branches,
  table: readonly Unreachable[],
): { readonly branches: readonly Uncovered[]; readonly rows: readonly Unreachable[] } {
  const fits = (row: Unreachable, at: Uncovered) => row.file === at.file && at.text.includes(row.text);
  return {
    branches: uncovered.filter((at) => !table.some((row) => fits(row, at))),
    rows: table.filter((row) => !uncovered.some((at) => fits(row, at))),
  };
}
