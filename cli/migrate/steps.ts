/**
 * The way from Istio to this mesh, as steps in an order in which calls go on: our istiod beside the other one, as a revision of its own
 * that signs by the same root; agents and node proxies in the place of the others; namespaces one by one; then the others go.
 * What is done already is seen by what is there, so a plan may be made again at any time. Pure.
 */
import { defaultRevision, ownerOf, serviceOf } from '../../common/kube/revisions.ts';
import { customKinds } from '../../common/kube/schema/table.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { Chart } from '../install/plan.ts';
import { commandLine, releaseOf } from '../install/plan.ts';
import type { Facts, MeshNamespace, Part } from './parts.ts';
import type { Carried } from './values.ts';

export interface Step {
  /** Stays the same while the migration goes on. */
  readonly id: string;
  readonly title: string;
  readonly why: string;
  readonly commands: readonly string[];
  /** What has to be true afterwards, each as it is now. */
  readonly checks: readonly Check[];
}

export interface Check {
  readonly met: boolean;
  readonly text: string;
}

export interface PlanOptions {
  /** Of the new istiod. */
  readonly revision: string;
  /** Folder of the charts. */
  readonly folder: string;
  /** Values of the installation that is there. */
  readonly carried: Readonly<Record<Chart, Carried>>;
}

export const isDone = ({ checks }: Step): boolean => checks.every((c) => c.met);

const rootSecrets = ['cacerts', 'istio-ca-secret'] as const;

export function planOf(facts: Facts, options: PlanOptions): readonly Step[] {
  return [
    root(facts),
    definitions(facts, options),
    istiod(facts, options),
    agents(facts, options),
    nodeProxies(facts, options),
    ...facts.namespaces
      .filter((n) => n.mode !== 'none' && n.name !== facts.istioNamespace)
      .map((n) => namespace(facts, n, options)),
    unnamed(facts, options),
    removal(facts),
  ];
}

/** In the place of the release that is there, where that is of the same chart. */
function helm(chart: Chart, facts: Facts, { folder, carried, revision }: PlanOptions, more: object = {}): string {
  const there = facts.parts.find((p) => p.part === chart && chart !== 'istiod');
  const namespace = there?.namespace ?? facts.istioNamespace;
  const found = facts.releases.find(
    (r) => r.chart === chart && chart !== 'istiod' && (there === undefined || r.namespace === namespace),
  );
  const release = found?.name ?? releaseOf(chart, chart === 'istiod' ? revision : undefined);
  const values = { ...carried[chart].values, ...more };
  const isEmpty = Object.keys(values).length === 0;
  const head = ['upgrade', '--install', release, `${folder}/${chart}`, '-n', found?.namespace ?? namespace];
  return commandLine({
    argv: [...head, '--reset-values', '--take-ownership', '--wait', ...(isEmpty ? [] : ['-f', '-'])],
    values: isEmpty ? undefined : JSON.stringify(values, undefined, 2),
  });
}

function root({ istioNamespace, objects }: Facts): Step {
  const found = objects.filter(
    (o) =>
      o.kind === 'Secret' &&
      o.metadata.namespace === istioNamespace &&
      rootSecrets.some((name) => name === o.metadata.name),
  );
  const names = found.map((o) => o.metadata.name);
  return {
    id: 'root',
    title: 'keep the root of the certificates',
    why: 'the new istiod signs by the same root, so old and new proxies trust each other all the time',
    commands: [
      `kubectl -n ${istioNamespace} get secret --ignore-not-found ${rootSecrets.join(' ')} -o yaml > istio-root-backup.yaml`,
    ],
    checks: [
      {
        met: names.length > 0,
        text:
          names.length > 0
            ? `Secret ${names.map((n) => `${istioNamespace}/${n}`).join(', ')}`
            : `neither Secret ${rootSecrets.join(' nor ')} is in ${istioNamespace}: the CA is elsewhere (EXTERNAL_CA, CA_ADDR); give the new istiod the same settings`,
      },
    ],
  };
}

function definitions(facts: Facts, options: PlanOptions): Step {
  const there = new Set(facts.objects.filter((o) => o.kind === 'CustomResourceDefinition').map((o) => o.metadata.name));
  const wanted = customKinds.map(({ kind }) => `${kind.plural}.${kind.group}`);
  const missing = wanted.filter((name) => !there.has(name));
  return {
    id: 'definitions',
    title: 'definitions of resources',
    why: "chart base takes over Istio's, with all objects; who checks objects that name no revision stays as it is until later",
    commands: [helm('base', facts, options, { defaultRevision: facts.revisions.unnamed })],
    checks: [
      {
        met: missing.length === 0,
        text:
          missing.length === 0
            ? `all ${wanted.length} definitions are there`
            : `${missing.length} of ${wanted.length} definitions are missing: ${missing.slice(0, 3).join(', ')}`,
      },
    ],
  };
}

function istiod(facts: Facts, options: PlanOptions): Step {
  const { revision } = options;
  const { istioNamespace } = facts;
  const found = facts.parts.find((p) => p.part === 'istiod' && p.isOurs && p.revision === revision);
  return {
    id: 'istiod',
    title: `istiod of revision ${revision}, beside the one that is there`,
    why: 'nothing moves to it by itself: it acts for what names its revision',
    commands: [helm('istiod', facts, options, { revision })],
    checks: [partCheck(found, `Deployment ${istioNamespace}/${serviceOf(revision)}`)],
  };
}

function agents(facts: Facts, options: PlanOptions): Step {
  const found = facts.parts.find((p) => p.part === 'cni');
  const sidecars = facts.namespaces.filter((n) => n.sidecars.length > 0).map((n) => n.name);
  const careful =
    found !== undefined && !found.isOurs && sidecars.length > 0
      ? `; sidecars that start after it get no redirection from Istio's plugin: restart nothing in ${sidecars.join(', ')} until they are moved`
      : '';
  return {
    id: 'cni',
    title: 'agents of the nodes',
    why: `they bring pods' traffic to the node proxies; pods keep what they have${careful}`,
    commands: [helm('cni', facts, options)],
    checks: [partCheck(found?.isOurs ? found : undefined, 'DaemonSet istio-cni-node of ours')],
  };
}

function nodeProxies(facts: Facts, options: PlanOptions): Step {
  const { revision } = options;
  const found = facts.parts.find((p) => p.part === 'ztunnel');
  const address = `${serviceOf(revision)}.`;
  const own = found?.isOurs ? found : undefined;
  return {
    id: 'ztunnel',
    title: 'node proxies',
    why: 'a new one takes over before the old one drains; both speak the same protocol',
    commands: [helm('ztunnel', facts, options, { revision, istioNamespace: facts.istioNamespace })],
    checks: [
      partCheck(own, 'DaemonSet ztunnel of ours'),
      {
        met: own?.env['XDS_ADDRESS']?.includes(address) ?? false,
        text: `it is told by ${serviceOf(revision)}${own === undefined ? '' : ` (now ${own.env['XDS_ADDRESS']})`}`,
      },
    ],
  };
}

function namespace(facts: Facts, space: MeshNamespace, { revision }: PlanOptions): Step {
  const { name, sidecars } = space;
  const waypoints = facts.parts.filter((p) => p.part === 'waypoint' && p.namespace === name);
  const hasSidecars = space.mode === 'sidecar';
  const label = `kubectl label namespace ${name} istio.io/rev=${revision} --overwrite`;
  const needs = hasSidecars && needsWaypoint(facts, name);
  const unaimed = facts.objects
    .filter((o) => o.metadata.namespace === name && isUnaimed(o))
    .map((o) => o.metadata.name);
  return {
    id: `namespace/${name}`,
    title: hasSidecars ? `namespace ${name}, out of its sidecars` : `namespace ${name}`,
    why: hasSidecars
      ? `its pods are restarted without sidecars${needs ? '; its routes and policies by requests hold at a waypoint from then on' : ''}; where sidecars call it under STRICT before they are moved, Istio's istiod needs PILOT_ENABLE_AMBIENT=true`
      : 'its waypoints are made anew by the new istiod, and its statuses written by it; pods are not touched',
    commands: hasSidecars
      ? [
          `kubectl label namespace ${name} istio-injection- istio.io/dataplane-mode=ambient istio.io/rev=${revision} --overwrite`,
          ...(needs ? [`aquifer waypoint apply -n ${name} --enroll-namespace --wait`] : []),
          `kubectl -n ${name} rollout restart deployment,statefulset,daemonset`,
        ]
      : [label],
    checks: [
      {
        met: ownerOf(facts.revisions, undefined, space.revision) === revision,
        text: `label istio.io/rev=${revision}, or a tag of it (now ${space.revision ?? 'none'})`,
      },
      ...(hasSidecars || sidecars.length > 0
        ? [{ met: !hasSidecars, text: `no pod has a sidecar${some(sidecars)}` }]
        : []),
      ...(unaimed.length > 0 || hasSidecars
        ? [
            {
              met: unaimed.length === 0,
              text: `policies by what requests say name what they are for (targetRefs), or no waypoint heeds them${some(unaimed, ': not')}`,
            },
          ]
        : []),
      { met: space.uncaptured.length === 0, text: `every pod's traffic is captured${some(space.uncaptured, ': not')}` },
      ...waypoints.map((w) => ({
        met: w.isReady && (w.env['CA_ADDR'] ?? '').startsWith(`${serviceOf(revision)}.`),
        text: `waypoint ${w.name} is told by ${serviceOf(revision)} (now ${w.env['CA_ADDR'] ?? 'unknown'}) and ready`,
      })),
    ],
  };
}

const ofRequests = ['VirtualService', 'DestinationRule', 'HTTPRoute', 'GRPCRoute', 'RequestAuthentication'];

/** Whether something is said of requests there, which sidecars did. */
function needsWaypoint({ objects }: Facts, namespace: string): boolean {
  return objects.some(
    (o) => o.metadata.namespace === namespace && (ofRequests.includes(o.kind) || speaksOfRequests(o)),
  );
}

function speaksOfRequests({ kind, spec }: KubeObject): boolean {
  const fields =
    /"(methods|paths|hosts|requestPrincipals|notMethods|notPaths|notHosts|notRequestPrincipals)":|"request\./;
  return kind === 'AuthorizationPolicy' && fields.test(JSON.stringify(spec ?? {}));
}

/** A policy for sidecars, which waypoints do not heed. */
function isUnaimed(object: KubeObject): boolean {
  const { targetRefs, targetRef } = (object['spec'] ?? {}) as Readonly<Record<string, unknown>>;
  return speaksOfRequests(object) && targetRefs === undefined && targetRef === undefined;
}

function unnamed(facts: Facts, options: PlanOptions): Step {
  const { revision } = options;
  return {
    id: 'default',
    title: 'objects that name no revision',
    why: 'from then on the new istiod checks them and acts for them',
    commands: [
      helm('base', facts, options, { defaultRevision: revision }),
      `aquifer tag set ${defaultRevision} --revision ${revision} --overwrite`,
    ],
    checks: [
      {
        met: facts.revisions.unnamed === revision,
        text: `they belong to revision ${revision} (now ${facts.revisions.unnamed})`,
      },
    ],
  };
}

function removal(facts: Facts): Step {
  const { istioNamespace, releases, objects } = facts;
  const old = facts.parts.filter((p) => !p.isOurs && p.part === 'istiod');
  const held = [
    ...facts.parts.filter((p) => p.part === 'gateway').map((p) => `${p.kind} ${p.namespace}/${p.name}`),
    ...facts.namespaces.filter((n) => n.sidecars.length > 0).map((n) => `sidecars in namespace ${n.name}`),
  ];
  const injectors = objects.filter(
    (o) => o.kind === 'MutatingWebhookConfiguration' && o.metadata.labels?.['app'] === 'sidecar-injector',
  );
  const commands = old.flatMap(({ namespace, name, revision }) => {
    const release = releases.find(
      (r) =>
        r.namespace === namespace && r.chart === 'istiod' && (r.values['revision'] || defaultRevision) === revision,
    );
    return release
      ? [`helm uninstall ${release.name} -n ${namespace}`]
      : [`kubectl -n ${namespace} delete deployment,service,hpa,pdb ${name} --ignore-not-found`];
  });
  return {
    id: 'remove',
    title: "Istio's istiod goes",
    why:
      held.length > 0 && old.length > 0
        ? `not yet: it is needed by ${held.join(', ')}; gateways are not run by this mesh yet, so keep it for them`
        : 'nobody is told by it any more (aquifer proxy-status); it may stay for as long as you want to be able to go back',
    commands:
      held.length > 0
        ? []
        : [...commands, ...injectors.map((w) => `kubectl delete mutatingwebhookconfiguration ${w.metadata.name}`)],
    checks: [
      {
        met: old.length === 0,
        text:
          old.length === 0
            ? `no istiod of Istio is in ${istioNamespace}`
            : `${old.map((p) => `${p.namespace}/${p.name}`).join(', ')} runs`,
      },
      {
        met: injectors.length === 0,
        text: `no webhook gives pods sidecars${some(injectors.map((w) => w.metadata.name))}`,
      },
    ],
  };
}

function partCheck(part: Part | undefined, what: string): Check {
  if (part === undefined) return { met: false, text: `${what} is not there` };
  return {
    met: part.isReady,
    text: `${part.kind} ${part.namespace}/${part.name} ${part.isReady ? 'is ready' : 'is not ready yet'}`,
  };
}

function some(names: readonly string[], before = ':'): string {
  if (names.length === 0) return '';
  return `${before} ${names.slice(0, 3).join(', ')}${names.length > 3 ? `, ${names.length - 3} more` : ''}`;
}
