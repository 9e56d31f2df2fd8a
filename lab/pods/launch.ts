/** Starts processes inside a pod's namespaces and cgroup, by nsenter(1) and unshare(1), each of which becomes the next by exec. */
import { MeshError } from '../../common/core/errors.ts';
import type { Privileges } from '../manifest/security.ts';
import { defaultFilter } from '../seccomp/filter.ts';
import { loader } from '../seccomp/load.ts';

/** The namespaces of a pod are held by its sandbox process; a host's by their names in /run/netns. */
export interface Namespaces {
  readonly net: string;
  /** Absent: the machine's host name. */
  readonly uts?: string;
}

const nsenter = '/usr/bin/nsenter';
const toolPath = '/usr/sbin:/usr/bin:/sbin:/bin';

/** First of all: a process in a pod's cgroup must already be in the pod's network namespace, by which others find it. */
const joinCgroup = 'set -e; IFS=:; for c in $1; do echo $$ > "$c/cgroup.procs"; done; unset IFS';

function joined(cgroups: readonly string[]): string {
  return cgroups.join(':');
}

/** Holds the namespaces of a pod, as the pause container does in Kubernetes. */
export function sandboxArgv(netns: string, cgroup: string, hostname: string): string[] {
  const script = `${joinCgroup}; hostname "$2"; echo ready; exec sleep infinity >/dev/null`;
  return [nsenter, `--net=${netns}`, 'unshare', '--uts', 'sh', '-c', script, 'sandbox', cgroup, hostname];
}

export interface ContainerLaunch {
  readonly namespaces: Namespaces;
  /** One of each hierarchy. */
  readonly cgroups: readonly string[];
  /** Its standard input is a terminal that becomes its own. */
  readonly terminal: boolean;
  readonly fstab: string;
  readonly root: string;
  readonly workingDir: string;
  readonly privileges: Privileges;
  readonly argv: readonly string[];
}

/** Runs inside the container's root. Until it has spoken, whoever joins the process would find itself on the machine. */
const entered = 'set -e; echo entered >&3; exec 3>&-; cd "$1"; shift; exec "$@"';

/**
 * Descriptor 3 gets a line when the process is in its root, and is closed then. The environment of the process that is started this
 * way is the container's, so tools are looked up elsewhere.
 */
export function containerArgv(l: ContainerLaunch): string[] {
  const script = `${joinCgroup}
path=$PATH; PATH=${toolPath}
mount --no-mtab --all --fstab "$2"
PATH=$path; shift 2
exec "$@"`;
  return [
    ...(l.terminal ? ['/usr/bin/setsid', '--ctty'] : []),
    ...enter(l.namespaces),
    '/usr/bin/unshare',
    '--mount',
    '--propagation=slave',
    '/bin/sh',
    '-c',
    script,
    'container',
    joined(l.cgroups),
    l.fstab,
    ...changeRoot(l),
    ...['/bin/sh', '-c', entered, 'container', l.workingDir],
    ...drop(l.privileges),
    ...l.argv,
  ];
}

function changeRoot({ root, privileges }: ContainerLaunch): string[] {
  const { seccomp, capabilities } = privileges;
  if (seccomp === 'unconfined') return ['/usr/sbin/chroot', root];
  const { arch } = process;
  if (arch !== 'x64' && arch !== 'arm64')
    throw new MeshError('CONFIG', `seccompProfile: a lab has no default profile for ${arch}; x64 and arm64 have one`);
  const kept = new Set(capabilities.filter((c) => c.startsWith('+')).map((c) => c.slice(1)));
  const filter = defaultFilter(arch, kept.has('all') ? 'all' : kept);
  // Without the variable perl complains of locales that the machine does not have.
  return ['/usr/bin/env', 'PERL_BADLANG=0', '/usr/bin/perl', '-e', loader(arch), filter.toString('hex'), root];
}

function drop(p: Privileges): string[] {
  const changes = [
    ...(p.user ? [`--reuid=${p.user.uid}`, `--regid=${p.user.gid}`] : []),
    ...(p.groups.length > 0 ? [`--groups=${p.groups.join(',')}`] : p.user ? ['--clear-groups'] : []),
    ...(p.noNewPrivileges ? ['--no-new-privs'] : []),
    ...(p.capabilities.length > 0 ? [`--bounding-set=${p.capabilities.join(',')}`, '--inh-caps=-all'] : []),
  ];
  return changes.length > 0 ? ['/usr/bin/setpriv', ...changes, '--'] : [];
}

/** Joins a running container. Its seccomp filter is not loaded again: what a user or a probe runs has the capabilities alone. */
export interface ExecLaunch {
  /** Main process of the container. */
  readonly pid: number;
  readonly cgroups: readonly string[];
  readonly workingDir: string;
  readonly privileges: Privileges;
  readonly argv: readonly string[];
}

export function execArgv(l: ExecLaunch): string[] {
  const script = `${joinCgroup}; cd "$2"; shift 2; exec "$@"`;
  const target = [`--target=${l.pid}`, '--net', '--uts', '--mount', '--root', '--wd'];
  return [
    nsenter,
    ...target,
    '/bin/sh',
    '-c',
    script,
    'exec',
    joined(l.cgroups),
    l.workingDir,
    ...drop(l.privileges),
    ...l.argv,
  ];
}

/** A program on a host of the lab: the machine's files, but a /etc of its own. */
export interface ProgramLaunch {
  readonly netns: string;
  readonly cgroup: string;
  /** Folder with `upper` and `work` for an overlay on /etc. */
  readonly etc: string;
  readonly argv: readonly string[];
}

export function programArgv(l: ProgramLaunch): string[] {
  const script = `${joinCgroup}
path=$PATH; PATH=${toolPath}
mount --no-mtab -t overlay -o "lowerdir=/etc,upperdir=$2/upper,workdir=$2/work" overlay /etc
PATH=$path; shift 2
exec "$@"`;
  const own = ['/usr/bin/unshare', '--mount', '--propagation=slave', '/bin/sh', '-c', script, 'program'];
  return [nsenter, `--net=${l.netns}`, ...own, l.cgroup, l.etc, ...l.argv];
}

/** A process on a host of the lab without anything of its own. */
export function hostArgv(netns: string, cgroup: string, argv: readonly string[]): string[] {
  return [nsenter, `--net=${netns}`, '/bin/sh', '-c', `${joinCgroup}; shift; exec "$@"`, 'host', cgroup, ...argv];
}

function enter(n: Namespaces): string[] {
  return [nsenter, `--net=${n.net}`, ...(n.uts === undefined ? [] : [`--uts=${n.uts}`])];
}
