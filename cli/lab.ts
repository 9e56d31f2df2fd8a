/** Carries out `aquifer lab`. Returns the exit code. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { assertNever, MeshError } from '../common/core/errors.ts';
import { deploymentKind } from '../common/kube/kinds/apps.ts';
import { podKind, serviceKind } from '../common/kube/kinds/core.ts';
import { type HostName, Lab, type LabApi, type ProgramName } from '../lab/index.ts';
import type { LabCommand } from './lab-args.ts';
import { formatStatus } from './status.ts';

const programs: readonly ProgramName[] = ['istiod', 'ztunnel', 'cni-agent'];

export async function runLab(command: LabCommand): Promise<number> {
  switch (command.kind) {
    case 'help':
      print(command.text.trimEnd());
      return 0;
    case 'up':
      return up(command);
    case 'down':
      await Lab.down(command.lab);
      print(`lab ${command.lab} is gone`);
      return 0;
    case 'status':
      return status(command.lab);
    case 'apply': {
      const lab = await Lab.attach(command.lab, print);
      for (const file of command.files) await lab.apply(await manifest(file));
      return 0;
    }
    case 'delete': {
      const lab = await Lab.attach(command.lab, print);
      for (const file of command.files) await lab.delete(await manifest(file));
      return 0;
    }
    case 'exec':
      return exec(command);
    case 'roll': {
      const lab = await Lab.attach(command.lab, print);
      await lab.rollProxy(command.node as HostName | undefined);
      return 0;
    }
    case 'logs': {
      const lab = await Lab.attach(command.lab);
      process.stdout.write(await logs(lab, command));
      return 0;
    }
    default:
      return assertNever(command);
  }
}

async function up(command: Extract<LabCommand, { kind: 'up' }>): Promise<number> {
  const began = performance.now();
  const { lab: name, nodes, mesh, env } = command;
  const lab = await Lab.up({
    name,
    nodes,
    mesh,
    env,
    manifests: await Promise.all(command.files.map(manifest)),
    progress: print,
  });
  if (command.wait) {
    await lab.waitReady();
    if (mesh) await lab.waitEnrolled();
  }
  print(`kubectl: export KUBECONFIG=${lab.kubeconfig}`);
  print(
    `lab ${name} is up after ${((performance.now() - began) / 1000).toFixed(1)} s; see: aquifer lab status${flag(name)}`,
  );
  return 0;
}

async function status(name: string | undefined): Promise<number> {
  const names = name === undefined ? await Lab.names() : [name];
  if (names.length === 0) print('no lab is up; start one: aquifer lab up');
  const texts = [];
  for (const n of names) texts.push(await describeLab(await Lab.attach(n)));
  if (texts.length > 0) print(texts.join('\n\n'));
  return 0;
}

async function describeLab(lab: LabApi): Promise<string> {
  const { signal } = new AbortController();
  const [pods, deployments, services] = await Promise.all([
    lab.kube.list(podKind, signal),
    lab.kube.list(deploymentKind, signal),
    lab.kube.list(serviceKind, signal),
  ]);
  const hosts = programs.flatMap((program) =>
    (program === 'istiod' ? (['cp'] as const) : lab.nodes).map((host) => ({ program, host })),
  );
  return formatStatus({
    name: lab.name,
    daemon: await lab.daemon(),
    kubeconfig: lab.kubeconfig,
    programs: lab.mesh
      ? await Promise.all(
          hosts.map(async ({ program, host }) => ({ name: program, host, pid: await pidOrNone(lab, program, host) })),
        )
      : [],
    pods: pods.items,
    deployments: deployments.items,
    services: services.items,
    now: Date.now(),
  });
}

async function pidOrNone(lab: LabApi, program: ProgramName, host: HostName): Promise<number | undefined> {
  try {
    return await lab.pid(program, host);
  } catch (e) {
    if (e instanceof MeshError && e.code === 'NOT_FOUND') return undefined;
    throw e;
  }
}

async function exec(command: Extract<LabCommand, { kind: 'exec' }>): Promise<number> {
  const lab = await Lab.attach(command.lab);
  const pod = await podName(lab, command.pod);
  const container = command.container === undefined ? {} : { container: command.container };
  // Without a name for the terminal, shells and editors take it for a printer.
  const env = process.stdin.isTTY ? { env: { TERM: 'xterm' } } : {};
  return lab.attach(pod, command.argv, { ...container, ...env });
}

/** `deploy/shop/web` stands for the first pod of that Deployment, as with kubectl. */
async function podName(lab: LabApi, name: string): Promise<string> {
  const deployment = /^(?:deploy|deployment)\/(.+)$/.exec(name)?.[1];
  if (deployment === undefined) return name;
  const [pod] = await lab.podsOf(deployment);
  if (pod === undefined) throw new MeshError('NOT_FOUND', `Deployment ${deployment} has no pods`);
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}

async function logs(lab: LabApi, command: Extract<LabCommand, { kind: 'logs' }>): Promise<string> {
  const { of, node, container } = command;
  const where = {
    ...(node === undefined ? {} : { node: node as HostName }),
    ...(container === undefined ? {} : { container }),
  };
  if (of === 'lab' || (programs as readonly string[]).includes(of)) return lab.logs(of as ProgramName | 'lab', where);
  return lab.logs(await podName(lab, of), where);
}

/** A path, read here so that errors name it; `-` is stdin. */
async function manifest(file: string): Promise<string> {
  if (file !== '-') {
    await readFile(file, 'utf8').catch((e: Error) => {
      throw new MeshError('CONFIG', `${file} cannot be read: ${e.message}`);
    });
    return file;
  }
  return `${await text(process.stdin)}\n`;
}

function flag(name: string): string {
  return name === 'demo' ? '' : ` --lab ${name}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
