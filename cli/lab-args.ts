/** Arguments of `aquifer lab`. Pure. */
import { parseArgs } from 'node:util';
import { describeError } from '../common/core/errors.ts';
import type { ProgramName } from '../lab/index.ts';
import { labOptions } from './options.ts';

export type LabCommand =
  | {
      readonly kind: 'up';
      readonly lab: string;
      readonly nodes: number;
      readonly files: readonly string[];
      readonly mesh: boolean;
      readonly wait: boolean;
      /** Settings of the mesh programs, by program. */
      readonly env: ProgramEnv;
    }
  | { readonly kind: 'down'; readonly lab: string }
  | { readonly kind: 'status'; readonly lab: string | undefined }
  | {
      readonly kind: 'logs';
      readonly lab: string;
      readonly of: string;
      readonly node: string | undefined;
      readonly container: string | undefined;
    }
  | {
      readonly kind: 'exec';
      readonly lab: string;
      readonly pod: string;
      readonly container: string | undefined;
      readonly argv: readonly string[];
    }
  | { readonly kind: 'apply' | 'delete'; readonly lab: string; readonly files: readonly string[] }
  | { readonly kind: 'roll'; readonly lab: string; readonly node: string | undefined }
  | { readonly kind: 'help'; readonly text: string };

const programs = ['ztunnel', 'cni-agent', 'istiod'] as const satisfies readonly ProgramName[];

export type ProgramEnv = Partial<Record<ProgramName, Readonly<Record<string, string>>>>;

export type ParsedArgs =
  | { readonly ok: true; readonly command: LabCommand }
  | { readonly ok: false; readonly message: string };

export const labHelp = `aquifer lab: a Kubernetes-shaped cluster of network namespaces on this machine

  aquifer lab up [--nodes N] [-f FILE]... [--no-mesh]  start a lab (one of the same name is taken down first)
  aquifer lab down                                     remove everything that carries its name
  aquifer lab status                                   programs, pods and Services
  aquifer lab apply -f FILE...                         apply Kubernetes YAML; - is stdin
  aquifer lab delete -f FILE...                        delete the objects that the YAML names
  aquifer lab exec POD [-c CONTAINER] -- COMMAND...    run a command in a pod, NAMESPACE/NAME or deploy/NAMESPACE/NAME
  aquifer lab roll [--node NODE]                       replace a node's ztunnel without losing a call
  aquifer lab logs WHAT [--node NODE] [-c CONTAINER]   WHAT: ztunnel, cni-agent, istiod, lab, or a pod

  --lab NAME     default demo
  --nodes N      1 to 9, default 2
  -f FILE        may be given several times
  --env P:N=V    setting N of program P (ztunnel, cni-agent, istiod), as ztunnel:AQUIFER_TRACE=dst=:8080
  --capture KIND ebpf, nft or auto: how the nodes capture traffic (AQUIFER_CAPTURE of cni-agent)
  --no-mesh      without istiod, ztunnel and cni-agent
  --no-wait      do not wait until all pods are ready and enrolled
  --node NODE    node-1, node-2, ...
  -h, --help     this text
`;

type OptionName = keyof typeof labOptions;

/** Options that a command has beside `lab` and `help`. */
const optionsOf: Readonly<Record<string, readonly OptionName[]>> = {
  up: ['nodes', 'file', 'env', 'capture', 'mesh', 'wait'],
  down: [],
  status: [],
  logs: ['node', 'container'],
  roll: ['node'],
  exec: ['container'],
  apply: ['file'],
  delete: ['file'],
};

export function parseLabArgs(args: readonly string[]): ParsedArgs {
  const end = args.indexOf('--');
  const own = end < 0 ? args : args.slice(0, end);
  const after = end < 0 ? [] : args.slice(end + 1);
  const read = readOptions(own);
  if (typeof read === 'string') return { ok: false, message: read };
  const { values, positionals } = read;
  const [name, ...rest] = positionals;
  if (values.help || name === undefined || name === 'help') return ok({ kind: 'help', text: labHelp });
  const allowed = optionsOf[name];
  if (allowed === undefined) return bad(`aquifer lab ${name}: there is no such command`);
  for (const option of Object.keys(values) as OptionName[]) {
    if (option !== 'lab' && !allowed.includes(option)) return bad(`aquifer lab ${name} has no option --${option}`);
  }
  const lab = values.lab ?? 'demo';
  const files = values.file ?? [];
  const takes = name === 'exec' || name === 'logs' ? 1 : 0;
  if (rest.length > takes && name !== 'exec') return bad(`aquifer lab ${name}: "${rest[takes]}" is not understood`);
  switch (name) {
    case 'up': {
      const nodes = Number(values.nodes ?? 2);
      if (!Number.isInteger(nodes) || nodes < 1 || nodes > 9) return bad(`--nodes ${values.nodes}: expected 1 to 9`);
      const env = readEnv(values.env ?? []);
      if (typeof env === 'string') return bad(env);
      const captured = withCapture(env, values.capture);
      if (captured === undefined) return bad(`--capture ${values.capture}: expected ebpf, nft or auto`);
      return ok({ kind: 'up', lab, nodes, files, env: captured, mesh: values.mesh ?? true, wait: values.wait ?? true });
    }
    case 'down':
      return ok({ kind: 'down', lab });
    case 'status':
      return ok({ kind: 'status', lab: values.lab });
    case 'roll':
      return ok({ kind: 'roll', lab, node: values.node });
    case 'logs':
      if (rest[0] === undefined) return bad('aquifer lab logs: say of what: ztunnel, cni-agent, istiod, lab, or a pod');
      return ok({ kind: 'logs', lab, of: rest[0], node: values.node, container: values.container });
    case 'exec': {
      const [pod, ...words] = rest;
      const argv = [...words, ...after];
      if (pod === undefined || argv.length === 0) return bad('aquifer lab exec: expected POD -- COMMAND...');
      return ok({ kind: 'exec', lab, pod, container: values.container, argv });
    }
    case 'apply':
    case 'delete':
      if (files.length === 0) return bad(`aquifer lab ${name}: expected -f FILE`);
      return ok({ kind: name, lab, files });
    default:
      return bad(`aquifer lab ${name}: there is no such command`);
  }
}

/** The settings, or what is wrong with them. */
function readEnv(texts: readonly string[]): ProgramEnv | string {
  const env: Partial<Record<ProgramName, Record<string, string>>> = {};
  for (const text of texts) {
    const [, name, key, value] = /^([a-z-]+):(\w+)=(.*)$/s.exec(text) ?? [];
    const program = programs.find((p) => p === name);
    if (program === undefined || key === undefined || value === undefined) {
      return `--env ${text}: expected PROGRAM:NAME=VALUE; programs are ${programs.join(', ')}`;
    }
    env[program] = { ...env[program], [key]: value };
  }
  return env;
}

function readOptions(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: labOptions, allowPositionals: true, allowNegative: true });
  } catch (e) {
    return describeError(e);
  }
}

function ok(command: LabCommand): ParsedArgs {
  return { ok: true, command };
}

function bad(message: string): ParsedArgs {
  return { ok: false, message };
}

/** undefined: there is no such capture. */
function withCapture(env: ProgramEnv, capture: string | undefined): ProgramEnv | undefined {
  if (capture === undefined) return env;
  if (!['ebpf', 'nft', 'auto'].includes(capture)) return undefined;
  return { ...env, 'cni-agent': { ...env['cni-agent'], AQUIFER_CAPTURE: capture } };
}
