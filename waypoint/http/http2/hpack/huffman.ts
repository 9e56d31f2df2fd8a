/** HPACK's Huffman code (RFC 7541 5.2, appendix B), read four bits at a time. */

/** Bits of each symbol's code, in base 36; the last is the end of a string. The code is canonical: lengths say all of it. */
const lengths =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq' +
  'u';

export const endOfString = 256;

interface Node {
  readonly children: (Node | number | undefined)[];
  readonly state: number;
}

/** The code of each symbol as text of zeros and ones. */
export function huffmanCodes(): readonly string[] {
  const bits = [...lengths].map((digit) => Number.parseInt(digit, 36));
  const order = bits.map((_, symbol) => symbol).sort((a, b) => bits[a]! - bits[b]! || a - b);
  const codes: string[] = new Array<string>(bits.length);
  let next = 0;
  let length = 0;
  for (const symbol of order) {
    next *= 2 ** (bits[symbol]! - length);
    length = bits[symbol]!;
    codes[symbol] = next.toString(2).padStart(length, '0');
    next++;
  }
  return codes;
}

/** Of an entry of `transitions`. */
const hasSymbol = 0x100;
const refused = 0x200;
const stateShift = 16;

/**
 * By state and four bits: the next state, and a symbol where one is complete (no code is shorter than five bits, so there is one at most).
 * `mayEnd`: states in which a string may end, that is with up to seven bits of the end's code, all ones.
 */
const { transitions, mayEnd } = makeTable();

function makeTable(): { readonly transitions: Int32Array; readonly mayEnd: Uint8Array } {
  const nodes: Node[] = [];
  const add = (): Node => {
    const node = { children: [undefined, undefined], state: nodes.length };
    nodes.push(node);
    return node;
  };
  const root = add();
  for (const [symbol, code] of huffmanCodes().entries()) {
    let at = root;
    for (const bit of code.slice(0, -1)) {
      at.children[Number(bit)] ??= add();
      at = at.children[Number(bit)] as Node;
    }
    at.children[Number(code.at(-1))] = symbol;
  }
  const transitions = new Int32Array(nodes.length * 16);
  for (const node of nodes) {
    for (let four = 0; four < 16; four++) transitions[node.state * 16 + four] = step(root, node, four);
  }
  const mayEnd = new Uint8Array(nodes.length);
  let at = root;
  for (let ones = 0; ones < 8; ones++) {
    mayEnd[at.state] = 1;
    at = at.children[1] as Node;
  }
  return { transitions, mayEnd };
}

function step(root: Node, from: Node, four: number): number {
  let at = from;
  let out = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = at.children[(four >> bit) & 1]!;
    if (next === endOfString) return refused;
    if (typeof next === 'number') {
      out = hasSymbol | next;
      at = root;
    } else at = next;
  }
  return (at.state << stateShift) | out;
}

/** Where texts are put together; grows to the longest that came. */
let scratch: Buffer = Buffer.allocUnsafeSlow(4_096);

/** latin1; undefined: these bytes are no such string. */
export function huffmanDecode(bytes: Buffer, start: number, end: number): string | undefined {
  // Five bits at least for a symbol.
  const most = Math.ceil(((end - start) * 8) / 5);
  if (most > scratch.length) scratch = Buffer.allocUnsafeSlow(most);
  const out = scratch;
  let length = 0;
  let state = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    const first = transitions[state * 16 + (byte >> 4)]!;
    if (first & hasSymbol) out[length++] = first & 0xff;
    const second = transitions[(first >> stateShift) * 16 + (byte & 15)]!;
    if (second & hasSymbol) out[length++] = second & 0xff;
    if ((first | second) & refused) return undefined;
    state = second >> stateShift;
  }
  return mayEnd[state] === 1 ? out.toString('latin1', 0, length) : undefined;
}
