/** RFC 3339 in whole seconds, as metadata has it. `ms` since the epoch. */
export function timestamp(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastText = `${new Date(second * 1000).toISOString().slice(0, -'.000Z'.length)}Z`;
  }
  return lastText;
}

/** Thousands of writes ask in the same second. */
let lastSecond = Number.NaN;
let lastText = '';
