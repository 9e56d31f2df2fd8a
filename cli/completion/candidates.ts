/** What may stand where the cursor is: of the grammar, and what of it the shell or the cluster knows. Pure. */
import { type Offer, type OptionSpec, type Options, type Verb, verbNamed } from '../grammar.ts';

export interface Candidate {
  readonly word: string;
  /** Shells that can show it do. */
  readonly about: string;
}

export type Candidates =
  | { readonly kind: 'words'; readonly words: readonly Candidate[] }
  /** Files by the shell; all else from the cluster. */
  | { readonly kind: 'offer'; readonly offer: Offer; readonly prefix: string };

const none: Candidates = { kind: 'words', words: [] };

/** `words` are those behind `aquifer`, the last one as far as it is typed. */
export function candidates(root: Verb, words: readonly string[]): Candidates {
  const before = words.slice(0, -1);
  const typed = words.at(-1) ?? '';
  let verb = root;
  let options: Options = {};
  let waits: OptionSpec | undefined;
  for (const word of before) {
    if (word === '--') return none;
    if (waits !== undefined) {
      waits = undefined;
      continue;
    }
    if (word.startsWith('-') && word !== '-') {
      const option = optionNamed(options, word);
      waits = option?.type === 'string' && !word.includes('=') ? option : undefined;
      continue;
    }
    const next = verbNamed(verb.verbs ?? {}, word);
    if (next === undefined) continue;
    verb = next[1];
    options = verb.options ?? {};
  }
  if (waits !== undefined) return ofValues(waits.values, typed);
  if (typed.startsWith('--') && typed.includes('=')) {
    const at = typed.indexOf('=');
    const found = ofValues(optionNamed(options, typed)?.values, typed.slice(at + 1));
    return found.kind === 'offer'
      ? { ...found, prefix: '' }
      : { kind: 'words', words: found.words.map((c) => ({ ...c, word: `${typed.slice(0, at + 1)}${c.word}` })) };
  }
  if (typed.startsWith('-'))
    return { kind: 'words', words: ofOptions(options).filter((c) => c.word.startsWith(typed)) };
  const verbs = Object.entries(verb.verbs ?? {}).map(([word, { summary }]) => ({ word, about: summary }));
  if (verbs.length > 0) return { kind: 'words', words: verbs.filter((c) => c.word.startsWith(typed)) };
  return ofValues(verb.offers, typed);
}

function optionNamed(options: Options, word: string): OptionSpec | undefined {
  const name = word.replace(/=.*$/, '');
  if (name.startsWith('--')) return options[name.slice(2)];
  return Object.values(options).find((o) => `-${o.short}` === name);
}

function ofOptions(options: Options): readonly Candidate[] {
  return [...Object.entries(options), ['help', { about: 'what there is' }] as const].map(([name, { about }]) => ({
    word: `--${name}`,
    about,
  }));
}

function ofValues(values: OptionSpec['values'], typed: string): Candidates {
  if (values === undefined) return none;
  if (typeof values === 'string') return { kind: 'offer', offer: values, prefix: typed };
  return { kind: 'words', words: values.filter((v) => v.startsWith(typed)).map((word) => ({ word, about: '' })) };
}
