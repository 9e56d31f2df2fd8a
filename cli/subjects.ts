/** Commands that show what proxies have, a verb for each subject, and beside them log levels. */
import type { Options, Verb, Verbs } from './grammar.ts';

export interface SubjectVerbs<S extends string> {
  readonly about: Readonly<Record<S, readonly [summary: string, aliases: readonly string[]]>>;
  readonly operands: string;
  readonly options: Readonly<Record<S | 'log', Options>>;
  readonly load: () => Promise<{ show(subject: S, args: readonly string[]): Promise<number> }>;
  readonly log: NonNullable<Verb['load']>;
}

export function subjectVerbs<S extends string>({ about, operands, options, load, log }: SubjectVerbs<S>): Verbs {
  const verb = (name: S | 'log', summary: string, aliases: readonly string[], loads: NonNullable<Verb['load']>) =>
    [name, { summary, aliases, operands, offers: 'pod', options: options[name], load: loads }] as const;
  const subjects = (Object.keys(about) as S[]).map((subject) => {
    const [summary, aliases] = about[subject];
    return verb(subject, summary, aliases, async () => {
      const { show } = await load();
      return { run: (args) => show(subject, args) };
    });
  });
  return Object.fromEntries([...subjects, verb('log', 'log levels, and changing them', ['o'], log)]);
}
