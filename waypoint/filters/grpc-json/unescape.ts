/** Percent-encoding of paths and queries, as far as it is taken off. */

export type Keeps = 'nothing' | 'slash' | 'reserved';

/** Of RFC 6570. */
const reserved = new Set("!#$&'()*+,/:;=?@[]");

/** What is no valid escape stays. Bytes that are no UTF-8 become U+FFFD. */
export function unescapeUrl(text: string, keeps: Keeps, plusIsSpace = false): string {
  const spaced = plusIsSpace ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  return spaced.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => {
    let out = '';
    let bytes: number[] = [];
    const flush = () => {
      out += Buffer.from(bytes).toString('utf8');
      bytes = [];
    };
    for (let at = 0; at < run.length; at += 3) {
      const byte = Number.parseInt(run.slice(at + 1, at + 3), 16);
      if (isKept(String.fromCharCode(byte), keeps)) {
        flush();
        out += run.slice(at, at + 3);
      } else bytes.push(byte);
    }
    flush();
    return out;
  });
}

function isKept(char: string, keeps: Keeps): boolean {
  return keeps === 'reserved' ? reserved.has(char) : keeps === 'slash' && char === '/';
}
