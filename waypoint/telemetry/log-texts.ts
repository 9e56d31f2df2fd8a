/** Texts of logs: mostly those of a listener have one format, for a file and for a collector, so that each request's is made but once. */
import type { Format, FormatContext } from '../format/format.ts';

export type Line = (context: FormatContext) => string;

interface Made {
  readonly format: string;
  readonly missing: string;
  readonly context: FormatContext;
  readonly text: string;
}

/** The last one, of a request that is being told. */
let last: Made | undefined;

/** As `format.render` does it. */
export function textOf(format: Format, missing: string): Line {
  // Each log has an id of its own there.
  if (format.text.includes('%UNIQUE_ID')) return (context) => format.render(context, missing);
  return (context) => {
    if (last?.context === context && last.format === format.text && last.missing === missing) return last.text;
    const text = format.render(context, missing);
    last = { format: format.text, missing, context, text };
    return text;
  };
}

/** Once all has been told of a request. */
export function forgetText(): void {
  last = undefined;
}
