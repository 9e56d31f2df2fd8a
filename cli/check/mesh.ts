/** How the parts of an installed mesh do. Pure, of what was read. */
import { X509Certificate } from 'node:crypto';
import { decideEnrolment } from '../../cni/enrolment.ts';
import type { ConfigMap, Namespace, Node, Pod } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { ZtunnelDump } from '../ztunnel-config/dump.ts';
import { titleOf } from './cluster.ts';
import { fail, ok, type Result, warn } from './result.ts';

const day = 86_400_000;
/** Days before its end in which a root is warned of. */
const rootNotice = 30;

export interface Parts {
  readonly namespace: string;
  readonly nodes: readonly Node[];
  /** Of the mesh's namespace. */
  readonly pods: readonly Pod[];
  /** Where istiod answers that no pod is: a lab. */
  readonly istiodElsewhere: boolean;
}

/** One istiod at least, a node proxy and an agent on each node. */
export function checkParts({ namespace, nodes, pods, istiodElsewhere }: Parts): readonly Result[] {
  const istiods = podsOf(pods, 'istiod');
  const results: Result[] = [];
  const ready = istiods.filter(isReady);
  if (ready.length > 0) results.push(ok('parts', `istiod: ${ready.length} of ${istiods.length} pods are ready`));
  else if (istiodElsewhere) results.push(ok('parts', 'istiod runs outside of pods, on a host of the lab'));
  else
    results.push(
      istiods.length === 0
        ? fail('parts', `no istiod in namespace ${namespace}`, 'aquifer install')
        : fail(
            'parts',
            `istiod: none of ${istiods.length} pods is ready`,
            `kubectl -n ${namespace} logs deploy/istiod; kubectl -n ${namespace} describe pods -l app=istiod`,
          ),
    );
  const hosts = nodes.filter((n) => n.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'));
  for (const [app, label, what] of [
    ['ztunnel', 'ztunnel', 'node proxy'],
    ['istio-cni-node', 'istio-cni-node', 'CNI agent'],
  ] as const) {
    const own = podsOf(pods, label);
    const missing = hosts.filter((n) => !own.some((p) => p.spec.nodeName === n.metadata.name && isReady(p)));
    if (missing.length === 0) results.push(ok('parts', `${app}: ready on all ${hosts.length} nodes`));
    else
      results.push(
        fail(
          'parts',
          `${app}: no ${what} is ready on ${missing.map((n) => n.metadata.name).join(', ')}`,
          own.length === 0
            ? 'aquifer install'
            : `kubectl -n ${namespace} get pods -l app=${label} -o wide; kubectl -n ${namespace} logs ds/${app}`,
        ),
      );
  }
  return results;
}

function podsOf(pods: readonly Pod[], label: string): readonly Pod[] {
  return pods.filter(
    (p) =>
      (p.metadata.labels?.['app'] === label || p.metadata.labels?.['k8s-app'] === label) &&
      p.metadata.deletionTimestamp === undefined,
  );
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;
}

/** Releases by who runs them. One minor release apart is what is tested. */
export function checkSkew(versions: ReadonlyMap<string, string>): readonly Result[] {
  const minors = new Map<string, readonly number[]>();
  for (const [who, version] of versions) {
    const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
    if (major !== undefined) minors.set(who, [Number(major), Number(minor)]);
  }
  const all = [...minors.values()];
  if (all.length === 0) return [];
  const values = all.map(([major = 0, minor = 0]) => major * 1000 + minor);
  const spread = Math.max(...values) - Math.min(...values);
  const distinct = [...new Set(versions.values())].join(', ');
  if (spread <= 1) return [ok('versions', `${versions.size} programs: ${distinct}`)];
  const listed = [...versions].map(([who, version]) => `${who} ${version}`).join(', ');
  return [
    warn(
      'versions',
      `programs are ${spread} minor releases apart: ${listed}`,
      'upgrade the older ones: aquifer install',
    ),
  ];
}

/** ConfigMap istio-ca-root-cert, which proxies trust. `now` in ms since the epoch. */
export function checkRoot(map: ConfigMap | undefined, namespace: string, now: number): readonly Result[] {
  const pem = map?.data?.['root-cert.pem'];
  const title = `ConfigMap ${namespace}/istio-ca-root-cert`;
  if (pem === undefined)
    return [
      fail(
        'certificates',
        `${title} is missing: proxies trust no istiod`,
        `kubectl -n ${namespace} logs deploy/istiod`,
      ),
    ];
  return (pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map((one) => {
    let end: number;
    try {
      end = new X509Certificate(one).validToDate.getTime();
    } catch {
      return fail(
        'certificates',
        `${title}: root-cert.pem: a certificate that cannot be read`,
        'delete the ConfigMap; istiod writes it anew',
      );
    }
    const left = Math.floor((end - now) / day);
    if (left < 0) return fail('certificates', `${title}: a root expired ${-left} days ago`, 'aquifer ca rotate');
    if (left < rootNotice) return warn('certificates', `${title}: a root expires in ${left} days`, 'aquifer ca rotate');
    return ok('certificates', `a root is valid for ${left} days more`);
  });
}

/** Of a node's proxy: certificates that it has not, or that have ended. */
export function checkCertificates(pod: Pod, dump: ZtunnelDump, now: number): readonly Result[] {
  const bad = dump.certificates.flatMap(({ identity, state, certChain = [] }) => {
    if (state !== 'Available') return [`${identity} is ${state}`];
    const [leaf] = certChain;
    return leaf !== undefined && Date.parse(leaf.expirationTime) < now ? [`${identity} has expired`] : [];
  });
  const title = titleOf(pod);
  if (bad.length === 0)
    return [ok('certificates', `ztunnel ${title}: ${dump.certificates.length} certificates, all valid`)];
  return bad.map((text) =>
    fail(
      'certificates',
      `ztunnel ${title}: ${text}`,
      `kubectl -n ${pod.metadata.namespace} logs ${pod.metadata.name}; istiod's log names who was refused`,
    ),
  );
}

/** Who refuses what istiod sends: of /debug/push_status. */
export function checkPushes(
  rejected: Readonly<Record<string, Readonly<Record<string, string>>>>,
  connected: number,
): readonly Result[] {
  const all = Object.entries(rejected).flatMap(([proxy, types]) =>
    Object.values(types).map((why) => `${proxy}: ${why}`),
  );
  if (all.length === 0) return [ok('proxies', `${connected} proxies are connected, and refuse nothing`)];
  return all.map((text) =>
    fail('proxies', `refused: ${text}`, 'aquifer analyze finds the object; aquifer proxy-status shows who has what'),
  );
}

/** Pods that ask for the mesh and are not in it. */
export function checkPods(pods: readonly Pod[], namespaces: ReadonlyMap<string, Namespace>): readonly Result[] {
  const wanted = pods.filter(
    (p) =>
      p.status?.phase === 'Running' &&
      decideEnrolment(p, namespaces.get(p.metadata.namespace ?? ''), new Set(['kube-system'])).kind === 'enrol',
  );
  const out = wanted.filter((p) => p.metadata.annotations?.['ambient.istio.io/redirection'] !== 'enabled');
  if (out.length === 0) return [ok('pods', `${wanted.length} pods ask for the mesh, and are in it`)];
  return out.map((p) =>
    fail(
      'pods',
      `pod ${titleOf(p)} asks for the mesh and is not in it`,
      `the agent of node ${p.spec.nodeName} says why: kubectl -n istio-system logs ds/istio-cni-node`,
    ),
  );
}

/** The webhook that validates what is written, where one is. `root`: of the ConfigMap. */
export function checkWebhook(hooks: readonly KubeObject[], root: string | undefined): readonly Result[] {
  const ours = hooks.filter((h) => h.metadata.name.startsWith('istio'));
  if (ours.length === 0)
    return [
      warn(
        'parts',
        'no ValidatingWebhookConfiguration of the mesh: mistakes are told later, in statuses',
        'aquifer crds --webhook istio-system -o yaml | kubectl apply --server-side -f -',
      ),
    ];
  return ours.flatMap((hook) => {
    const clients = (hook['webhooks'] ?? []) as readonly { readonly clientConfig?: { readonly caBundle?: string } }[];
    return clients.map(({ clientConfig }) => {
      const text = Buffer.from(clientConfig?.caBundle ?? '', 'base64')
        .toString('utf8')
        .trim();
      const name = `ValidatingWebhookConfiguration ${hook.metadata.name}`;
      if (text === '')
        return fail(
          'parts',
          `${name}: caBundle is empty: no write of the mesh's kinds is let in`,
          'istiod fills it in; see its log',
        );
      if (root !== undefined && !root.includes(text) && !text.includes(root.trim()))
        return warn('parts', `${name}: caBundle is of another root than istiod's`, 'istiod fills it in; see its log');
      return ok('parts', `${name} trusts istiod`);
    });
  });
}
