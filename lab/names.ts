/** Every name and path that a lab puts on the machine. Cleaning up finds them again by these names alone. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { MeshError } from '../common/core/errors.ts';

export const runtimeRoot = '/run/aquifer';

/** No dash, so that no lab's names begin with another's. Throws MeshError CONFIG. */
export function checkLabName(name: string): string {
  if (/^[a-z0-9]{1,12}$/.test(name)) return name;
  throw new MeshError('CONFIG', `lab name "${name}": use 1 to 12 characters of a-z and 0-9`);
}

export function netnsPrefix(lab: string): string {
  return `aq-${lab}-`;
}

export function netnsName(lab: string, host: string): string {
  return `${netnsPrefix(lab)}${host}`;
}

export function netnsPath(name: string): string {
  return `/run/netns/${name}`;
}

/** Eight hex digits that stand for a pod in names of namespaces and interfaces (15 characters at most). */
export function podHash(uid: string): string {
  return createHash('sha256').update(uid).digest('hex').slice(0, 8);
}

export function cgroupName(lab: string): string {
  return `aquifer-${lab}`;
}

export interface LabPaths {
  readonly root: string;
  /** The API server's data. */
  readonly api: string;
  /** For programs on the lab's hosts. */
  readonly apiKubeconfig: string;
  /** For kubectl on this machine. */
  readonly kubeconfig: string;
  /** tmpfs: what containers write, volumes and the state that `exec` reads. */
  readonly pods: string;
  readonly logs: string;
  readonly captures: string;
  readonly istiod: string;
  /** Which processes run the mesh's programs now. */
  readonly programs: string;
  /** Values for the charts, by which the mesh is installed into a lab without one. */
  readonly values: string;
  /** How the lab was started. */
  readonly config: string;
  node(node: string): string;
  pod(uid: string): string;
}

export function labPaths(lab: string): LabPaths {
  const root = join(runtimeRoot, lab);
  const pods = join(root, 'pods');
  return {
    root,
    api: join(root, 'api'),
    apiKubeconfig: join(root, 'api/kubeconfig'),
    kubeconfig: join(root, 'kubeconfig'),
    pods,
    logs: join(root, 'logs'),
    captures: join(root, 'captures'),
    istiod: join(root, 'istiod'),
    programs: join(root, 'programs'),
    values: join(root, 'values.yaml'),
    config: join(root, 'lab.json'),
    node: (node) => join(root, node),
    pod: (uid) => join(pods, uid),
  };
}

/** Has one file for each run of the container (lab/pods/log.ts). */
export function podLogFolder(lab: string, pod: { namespace: string; name: string }, container: string): string {
  return join(labPaths(lab).logs, 'pods', `${pod.namespace}_${pod.name}_${container}`);
}

export function programLogFile(lab: string, program: string, host: string): string {
  return join(labPaths(lab).logs, `${program}@${host}.log`);
}
