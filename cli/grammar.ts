/** What the command line understands: a tree of verbs, each with its options. The one source of dispatch, help and completion; loads nothing. */
import { absent } from './absent.ts';
import { UsageError } from './arguments.ts';

export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
  readonly default?: string | boolean;
  /** What --help says of it. */
  readonly about: string;
  /** What completion offers: words, or what the shell or the cluster knows. */
  readonly values?: readonly string[] | Offer;
}

export type Offer = 'file' | 'directory' | 'namespace' | 'pod' | 'node' | 'service';
export type Options = Readonly<Record<string, OptionSpec>>;

export interface Verb {
  /** One line. */
  readonly summary: string;
  readonly aliases?: readonly string[];
  /** What stands beside the options: `[TYPE/]NAME[.NAMESPACE]`. */
  readonly operands?: string;
  /** What completion offers for those. */
  readonly offers?: readonly string[] | Offer;
  readonly options?: Options;
  readonly verbs?: Verbs;
  /** More for --help: exit codes, examples. */
  readonly notes?: string;
  /** A verb without code has verbs below it. */
  load?(): Promise<LoadedCommand>;
}

export type Verbs = Readonly<Record<string, Verb>>;

export interface LoadedCommand {
  /** What `--help` prints in place of what the grammar says. */
  readonly help?: string;
  /** The exit code. UsageError, MeshError. */
  run(args: readonly string[]): Promise<number>;
}

export interface Found {
  /** Without aliases: `ztunnel-config`, `workload`. */
  readonly path: readonly string[];
  readonly verb: Verb;
  readonly args: readonly string[];
}

/** How the words begin that options before a verb may have: `aquifer -n shop zc workload`. */
export type TakesValue = (option: string) => boolean;

/** The verb that the words name, options anywhere among them. UsageError where a verb does not exist. */
export function findVerb(root: Verb, words: readonly string[], takesValue: TakesValue): Found {
  let verb = root;
  const path: string[] = [];
  const args: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === '--' || verb.verbs === undefined) {
      args.push(...words.slice(i));
      break;
    }
    if (word.startsWith('-') && word !== '-') {
      args.push(word);
      if (!word.includes('=') && takesValue(word) && i + 1 < words.length) args.push(words[++i]!);
      continue;
    }
    const next = verbNamed(verb.verbs, word);
    if (next === undefined) {
      const reason = absent[[...path, word].join(' ')];
      if (verb.load !== undefined && reason === undefined) {
        args.push(...words.slice(i));
        break;
      }
      const command = ['aquifer', ...path].join(' ');
      const why = reason === undefined ? 'there is no such command' : `not a command of this mesh; ${reason}`;
      throw new UsageError(`${command} ${word}: ${why}; see ${command} --help`);
    }
    path.push(next[0]);
    verb = next[1];
  }
  return { path, verb, args };
}

export function verbNamed(verbs: Verbs, word: string): readonly [string, Verb] | undefined {
  return Object.entries(verbs).find(([name, { aliases }]) => name === word || aliases?.includes(word) === true);
}

/** What `--help` prints. */
export function helpOf({ path, verb }: Pick<Found, 'path' | 'verb'>): string {
  const command = ['aquifer', ...path].join(' ');
  const also = verb.aliases === undefined ? '' : ` (also ${verb.aliases.join(', ')})`;
  const parts = [`${command}: ${verb.summary}${also}`];
  const usage = [];
  if (verb.load !== undefined) usage.push(`  ${[command, ...(verb.operands ? [verb.operands] : [])].join(' ')}`);
  const verbs = Object.entries(verb.verbs ?? {}).map(([name, { summary }]) => [`${command} ${name}`, summary] as const);
  const width = Math.max(0, ...verbs.map(([name]) => name.length));
  for (const [name, summary] of verbs) usage.push(`  ${name.padEnd(width)}   ${summary}`);
  parts.push(usage.join('\n'));
  const options = Object.entries(verb.options ?? {}).map(([name, option]) => [titleOf(name, option), option] as const);
  if (options.length > 0) {
    const wide = Math.max(...options.map(([title]) => title.length));
    parts.push(options.map(([title, option]) => `  ${title.padEnd(wide)}   ${aboutOf(option)}`).join('\n'));
  }
  if (verb.notes !== undefined) parts.push(verb.notes.trim());
  if (verbs.length > 0) parts.push(`${command} COMMAND --help says more.`);
  return `${parts.join('\n\n')}\n`;
}

function titleOf(name: string, { short, type, values }: OptionSpec): string {
  const value = type === 'boolean' ? '' : ` ${typeof values === 'string' ? values.toUpperCase() : 'VALUE'}`;
  return `${short === undefined ? '    ' : `-${short}, `}--${name}${value}`;
}

function aboutOf({ about, values, default: preset }: OptionSpec): string {
  const words = Array.isArray(values) && !values.every((v) => about.includes(v)) ? `: ${values.join(', ')}` : '';
  return `${about}${words}${preset === undefined || preset === false ? '' : `; default ${preset}`}`;
}
