/** Every command of `aquifer` as its --help tells it. */
import { root } from '../../cli/commands.ts';
import { helpOf, type Verb } from '../../cli/grammar.ts';

export async function cliPage(): Promise<string> {
  const parts = ['# aquifer', 'What `--help` says of each command.'];
  for (const { path, verb } of commands([], root)) {
    const help = (await verb.load?.())?.help ?? helpOf({ path, verb });
    parts.push(`## ${['aquifer', ...path].join(' ')}`, `\`\`\`text\n${help.trimEnd()}\n\`\`\``);
  }
  return `${parts.join('\n\n')}\n`;
}

function* commands(path: readonly string[], verb: Verb): Generator<{ path: readonly string[]; verb: Verb }> {
  yield { path, verb };
  for (const [name, below] of Object.entries(verb.verbs ?? {})) yield* commands([...path, name], below);
}
