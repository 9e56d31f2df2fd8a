/** What an installation needs of a cluster. Pure, of what was read. */
import type { Node, Pod } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { fail, ok, type Result, warn } from './result.ts';

/** Oldest minor release of Kubernetes that is supported. */
const oldestMinor = 28;
/** First release of Linux that takes all eBPF programs; before it nftables captures. */
const ebpfKernel = [5, 15] as const;

/** Of /version. */
export function checkVersion({ gitVersion = '', major = '', minor = '' }: Readonly<Record<string, string>>): Result {
  const number = Number(minor.replace(/\D.*$/, ''));
  if (major !== '1' || number >= oldestMinor) return ok('api', `the API server answers, version ${gitVersion}`);
  return fail(
    'api',
    `the API server has version ${gitVersion}; 1.${oldestMinor} or later is needed`,
    'upgrade the cluster',
  );
}

/** `present`: names of definitions, as `virtualservices.networking.istio.io`. */
export function checkDefinitions(
  wanted: readonly string[],
  present: ReadonlySet<string>,
  installed: boolean,
): readonly Result[] {
  const missing = wanted.filter((name) => !present.has(name));
  if (missing.length === 0) return [ok('definitions', `all ${wanted.length} CustomResourceDefinitions are there`)];
  const some = `${missing.slice(0, 3).join(', ')}${missing.length > 3 ? `, ${missing.length - 3} more` : ''}`;
  const text = `${missing.length} of ${wanted.length} CustomResourceDefinitions are missing: ${some}`;
  const fix = 'aquifer crds | kubectl apply --server-side -f -';
  return [
    installed ? fail('definitions', text, fix) : warn('definitions', text, `aquifer install brings them; or ${fix}`),
  ];
}

export function checkNodes(nodes: readonly Node[]): readonly Result[] {
  if (nodes.length === 0) return [fail('nodes', 'the cluster has no nodes', 'add one')];
  return nodes.flatMap((node) => {
    const { name } = node.metadata;
    const info = (node.status as { readonly nodeInfo?: Readonly<Record<string, string>> } | undefined)?.nodeInfo;
    const ready = node.status?.conditions?.find((c) => c.type === 'Ready');
    const os = info?.['operatingSystem'] ?? 'linux';
    if (os !== 'linux')
      return [
        warn(
          'nodes',
          `node ${name} runs ${os}: its pods stay outside of the mesh`,
          'run workloads of the mesh on Linux',
        ),
      ];
    const state =
      ready?.status === 'True'
        ? []
        : [
            fail(
              'nodes',
              `node ${name} is not Ready: ${ready?.message ?? 'no condition'}`,
              `kubectl describe node ${name}`,
            ),
          ];
    return [...state, checkKernel(name, info?.['kernelVersion'])];
  });
}

export function checkKernel(node: string, release: string | undefined): Result {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release ?? '') ?? [];
  if (major === undefined)
    return warn('nodes', `node ${node} does not say its kernel`, 'run aquifer check --node there');
  const isNew = Number(major) > ebpfKernel[0] || (Number(major) === ebpfKernel[0] && Number(minor) >= ebpfKernel[1]);
  if (isNew) return ok('nodes', `node ${node}: Linux ${release}`);
  return warn(
    'nodes',
    `node ${node}: Linux ${release} does not take all eBPF programs; nftables captures there`,
    `Linux ${ebpfKernel.join('.')} or later, or leave it`,
  );
}

export interface Strangers {
  readonly definitions: ReadonlySet<string>;
  readonly daemonSets: readonly KubeObject[];
  readonly pods: readonly Pod[];
  /** kube-system/cilium-config. */
  readonly cilium: Readonly<Record<string, string>> | undefined;
}

/** Definitions that tell another mesh. */
const meshes: readonly (readonly [name: string, suffix: string])[] = [
  ['Linkerd', '.linkerd.io'],
  ['Kuma', '.kuma.io'],
  ['Consul', '.consul.hashicorp.com'],
  ['Open Service Mesh', '.openservicemesh.io'],
];

export function checkOthers(s: Strangers): readonly Result[] {
  const found: Result[] = [];
  for (const [name, suffix] of meshes) {
    const one = [...s.definitions].find((d) => d.endsWith(suffix));
    if (one !== undefined)
      found.push(
        warn(
          'others',
          `${name} is installed (${one})`,
          `keep its namespaces out of this mesh: two proxies would each take a pod's traffic`,
        ),
      );
  }
  const sidecars = s.pods.filter((p) => p.metadata.annotations?.['sidecar.istio.io/status'] !== undefined);
  if (sidecars.length > 0)
    found.push(
      warn(
        'others',
        `${sidecars.length} pods have Istio's sidecar, as ${titleOf(sidecars[0]!)}`,
        'they stay outside of this mesh until they restart without it: kubectl label namespace NAME istio-injection-',
      ),
    );
  if (s.cilium !== undefined) found.push(...checkCilium(s.cilium));
  const other = s.daemonSets.find((d) => d.metadata.name.startsWith('istio-cni') && !isOurs(d));
  if (other !== undefined)
    found.push(
      warn(
        'others',
        `DaemonSet ${titleOf(other)} is Istio's CNI agent`,
        'uninstall it first: both would capture the same pods',
      ),
    );
  return found.length === 0 ? [ok('others', 'no other mesh, and no CNI that is in the way')] : found;
}

function checkCilium(config: Readonly<Record<string, string>>): readonly Result[] {
  const edit = (value: string) =>
    `kubectl -n kube-system patch cm cilium-config --type merge -p '{"data":{${value}}}', then restart cilium`;
  const found: Result[] = [];
  if (config['cni-exclusive'] === 'true')
    found.push(
      fail(
        'others',
        'ConfigMap kube-system/cilium-config: cni-exclusive: true removes our CNI plugin',
        edit('"cni-exclusive":"false"'),
      ),
    );
  if (config['bpf-lb-sock'] === 'true' && config['bpf-lb-sock-hostns-only'] !== 'true')
    found.push(
      fail(
        'others',
        'ConfigMap kube-system/cilium-config: bpf-lb-sock: true takes the addresses of Services away before the mesh sees them',
        edit('"bpf-lb-sock-hostns-only":"true"'),
      ),
    );
  if (config['enable-bpf-masquerade'] === 'true')
    found.push(
      warn(
        'others',
        'ConfigMap kube-system/cilium-config: enable-bpf-masquerade: true changes the source of health probes',
        edit('"enable-bpf-masquerade":"false"'),
      ),
    );
  return found.length === 0 ? [ok('others', 'Cilium lets other plugins in the chain')] : found;
}

function isOurs({ spec }: KubeObject): boolean {
  return JSON.stringify(spec).includes('aquifer');
}

export function titleOf({ metadata }: Pick<KubeObject, 'metadata'>): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}
