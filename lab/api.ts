/** What tests, the demo and the bench use of a lab. `Lab.up` (lab/index.ts) makes one. */
import type { Readable, Writable } from 'node:stream';
import type { KubeClient } from '../common/kube/client/client.ts';
import type { Pod } from '../common/kube/kinds/core.ts';

/** A program of the mesh that the lab runs on a node, or on the control-plane host (`cp`). */
export type ProgramName = 'ztunnel' | 'cni-agent' | 'istiod';

export interface LabOptions {
  /** `a-z0-9`, 1 to 12 characters: part of every name the lab makes. Default `demo`. A lab of that name is taken down first. */
  readonly name?: string;
  /** Number of nodes, 1 to 9, named node-1, node-2, ... Default 2. */
  readonly nodes?: number;
  /** YAML text or paths of YAML files, applied before `up` resolves (not waited for). */
  readonly manifests?: readonly string[];
  /** Run istiod, ztunnel and cni-agent. Default true. */
  readonly mesh?: boolean;
  /** Settings of the mesh programs, beside those that the lab gives. A value of undefined removes one. */
  readonly env?: Partial<Record<ProgramName, Readonly<Record<string, string | undefined>>>>;
  /** Told in one line each what happens. */
  readonly progress?: (line: string) => void;
}

/** `shop/web-5d8c-x7`, or the same as two fields. A bare name means namespace `default`. */
export type PodRef = string | { readonly namespace: string; readonly name: string };

export interface ExecOptions {
  /** Written to the process's stdin, which is then closed. Default: nothing. */
  readonly stdin?: string | Uint8Array;
  /** Default: the pod's first container. */
  readonly container?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds after which the process is killed and `exec` rejects. Default 30,000. */
  readonly timeout?: number;
}

export interface ExecResult {
  /** Exit code, or 128 + signal number. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process inside a pod or on a host of the lab. */
export interface LabProcess {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Exit code, or 128 + signal number. Never rejects. */
  readonly exited: Promise<number>;
  /** Default SIGTERM. */
  kill(signal?: NodeJS.Signals): void;
}

/** Packets on the link between nodes, written by tcpdump until `stop`. Read them with lab/pcap.ts. */
export interface Capture {
  readonly file: string;
  /** Resolves when every packet seen so far is in the file. */
  stop(): Promise<void>;
}

/** Where on the machine a process runs: a node by name, or the control-plane host. */
export type HostName = 'cp' | `node-${number}`;

export interface LabApi {
  readonly name: string;
  readonly nodes: readonly HostName[];
  /** The lab's API server, as its administrator. */
  readonly kube: KubeClient;
  /** Path of the kubeconfig by which kubectl on this machine is the administrator. */
  readonly kubeconfig: string;
  /** Whether it was started with the mesh's programs. */
  readonly mesh: boolean;
  /** The lab's own process; undefined when it is dead. */
  daemon(): Promise<number | undefined>;
  /** `/run/aquifer/<name>`. */
  readonly dir: string;

  /**
   * YAML text, or the path of a file, by server-side apply in its order. Throws MeshError CONFIG with file, line and field: of what a lab
   * does not honour before anything is applied, of what the API server refuses at that object.
   */
  apply(yamlOrFile: string): Promise<void>;
  /** Deletes the objects that the YAML names; those that do not exist are passed over. */
  delete(yamlOrFile: string): Promise<void>;
  /** Pods that belong to a Deployment and are not ending, sorted by name. `shop/web`, or `web` for namespace `default`. */
  podsOf(deployment: string): Promise<readonly Pod[]>;
  pods(): Promise<readonly Pod[]>;

  /** Until every Deployment has its replicas Ready and every Service its addresses. Default 30,000 ms; rejects saying what is missing. */
  waitReady(timeout?: number): Promise<void>;
  /** Until every running pod that asks for the mesh carries ambient.istio.io/redirection=enabled, and no other does. */
  waitEnrolled(timeout?: number): Promise<void>;

  exec(pod: PodRef, argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  spawn(pod: PodRef, argv: readonly string[], options?: Omit<ExecOptions, 'stdin' | 'timeout'>): Promise<LabProcess>;
  /** With this process's own terminal and files; resolves with the exit code. */
  attach(pod: PodRef, argv: readonly string[], options?: Omit<ExecOptions, 'stdin' | 'timeout'>): Promise<number>;
  /** In a host's network namespace, outside every pod (and outside what eBPF captures). */
  execOn(host: HostName, argv: readonly string[], options?: Omit<ExecOptions, 'container'>): Promise<ExecResult>;
  spawnOn(host: HostName, argv: readonly string[]): Promise<LabProcess>;

  /** What a program or a pod's container wrote so far. A program on several nodes needs its node. */
  logs(of: ProgramName | 'lab' | PodRef, options?: { node?: HostName; container?: string }): Promise<string>;
  /** Captures all that crosses the link between nodes; resolves once packets are being seen. `filter` as in pcap-filter(7). */
  capture(filter?: string): Promise<Capture>;

  /** The process that runs now (of ztunnel: the supervisor, of two the newer). Throws MeshError NOT_FOUND while there is none. */
  pid(program: ProgramName, node?: HostName): Promise<number>;
  /** Default signal SIGKILL. The lab starts it again: at once, then with back-off. */
  kill(program: ProgramName, node?: HostName, signal?: NodeJS.Signals): Promise<void>;
  /**
   * Replaces a node's ztunnel as a rolling update does: the new one is ready before the old one is told to stop. Resolves when the
   * old one has ended, which open connections delay up to its drain deadline.
   */
  rollProxy(node?: HostName): Promise<void>;
  /** Removes everything that carries this lab's name. */
  down(): Promise<void>;
}
