/**
 * JSON of strangers. Two members of one name are refused: readers differ in which of them counts, so that a token would say one thing
 * to whoever verifies it and another to whoever uses it (RFC 7515 4, RFC 7519 4).
 */

export type JsonObject = Readonly<Record<string, unknown>>;

/** As in protobuf's reader, so that no token is too deep for one of the two. */
const deepest = 100;

/** undefined: no JSON object, or one that is not to be taken. */
export function parseObject(bytes: Buffer): JsonObject | undefined {
  const text = bytes.toString('utf8');
  // What is no UTF-8 would come out as something else.
  if (text.includes('\uFFFD') && !Buffer.from(text, 'utf8').equals(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return isPlain(text) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

/** Of valid JSON: no name twice within an object, and not too deep. */
function isPlain(text: string): boolean {
  /** Names seen in each object that is open; undefined: an array. */
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '{':
      case '[':
        open.push(text[i] === '{' ? new Set() : undefined);
        if (open.length > deepest) return false;
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case '"': {
        const start = i;
        for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
        if (!/^\s*:/.test(text.slice(i + 1, i + 16)) && !/^\s+:/.test(text.slice(i + 1))) break;
        const name = JSON.parse(text.slice(start, i + 1)) as string;
        const names = open.at(-1);
        if (names?.has(name)) return false;
        names?.add(name);
      }
    }
  }
  return true;
}
