/** The commands of a document, and what it says that they print. Pure. */

export interface Step {
  /** Line of the document, from 1. */
  readonly line: number;
  readonly commands: string;
  /** Some part of the output. */
  readonly prints: string | undefined;
}

/** Blocks fenced with `sh`; a paragraph right behind one that begins with "prints `x`" tells of its output. */
export function stepsOf(text: string): readonly Step[] {
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```\n(?:\nprints `([^`\n]+)`)?/gm)].map((m) => ({
    line: text.slice(0, m.index).split('\n').length + 1,
    commands: m[1]!,
    prints: m[2],
  }));
}
