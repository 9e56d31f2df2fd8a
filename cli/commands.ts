/** The one table of commands. A command's code is loaded when it runs. */

export interface Command {
  /** One line. */
  readonly summary: string;
  load(): Promise<LoadedCommand>;
}

export interface LoadedCommand {
  /** What `--help` prints. */
  readonly help: string;
  /** The exit code. UsageError, MeshError. */
  run(args: readonly string[]): Promise<number>;
}

export const commands: Readonly<Record<string, Command>> = {
  analyze: {
    summary: 'find mistakes between objects, of files and of a cluster',
    load: () => import('./analyze/command.ts'),
  },
  ca: { summary: "replace the root of the mesh's certificates", load: () => import('./ca.ts') },
  crds: { summary: "print the mesh's CustomResourceDefinitions", load: () => import('./crds.ts') },
  lab: { summary: 'a cluster of network namespaces on this machine', load: () => import('./lab-command.ts') },
  validate: { summary: 'check files of Kubernetes YAML, field by field', load: () => import('./validate.ts') },
  why: { summary: 'tell whether a connection would be, and who decides it', load: () => import('./why/command.ts') },
  waypoint: { summary: 'make, list and remove waypoints', load: () => import('./waypoint/command.ts') },
  wait: { summary: 'wait until node proxies have confirmed an object', load: () => import('./wait.ts') },
};

const width = Math.max(...Object.keys(commands).map((name) => name.length));

export const overview = `aquifer: a service mesh without sidecars

${Object.entries(commands)
  .map(([name, { summary }]) => `  aquifer ${name.padEnd(width)}   ${summary}`)
  .join('\n')}

aquifer COMMAND --help says more.
`;
