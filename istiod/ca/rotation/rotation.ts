/** Carries a rotation out, step by step, in the istiod that leads; tells how far it is in ConfigMap istio-ca-root-rotation. */
import type { Millis } from '../../../common/core/brand.ts';
import { type Clock, sleep } from '../../../common/core/clock.ts';
import { assertNever, describeError, MeshError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { rotationMap } from '../../../common/identity/root-rotation.ts';
import { type ConfigMap, configMapKind } from '../../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../../common/kube/types.ts';
import type { SelfSignedCa } from '../roots/self-signed-ca.ts';
import type { RootVault, VaultContent } from '../roots/vault.ts';
import { makeRoot } from '../self-signed.ts';
import { rootsIn } from '../trust.ts';
import type { Ledger } from './ledger.ts';
import type { MeshView } from './outstanding.ts';
import { nextStep, type Step, type Wish } from './steps.ts';

export interface RotationOptions {
  readonly vault: RootVault;
  readonly ca: SelfSignedCa;
  readonly ledger: Ledger;
  readonly source: KubeSource;
  readonly namespace: string;
  /** Without `now`. */
  readonly mesh: () => Omit<MeshView, 'now'>;
  readonly defaultTtl: Millis;
  /** Of a root that is made. */
  readonly rootTtl: Millis;
  /** Share of its life, 0 to 1, that a root has left when the next one is made. */
  readonly grace: number;
  /** Between two looks at the age of the root. */
  readonly ageInterval: Millis;
  /** Between two looks at requests and at what is missing. */
  readonly interval: Millis;
  readonly clock: Clock;
  readonly log: Logger;
  /** How many certificates the step under way waits for; 0 when there is none. */
  readonly waiting: (certificates: number) => void;
}

const name = rotationMap;
/** Ms between two prunings of the ledger. */
const pruneInterval = 600_000;
/** Certificates that a status names. */
const named = 5;

/** While it leads. */
export async function runRotation(options: RotationOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, interval, ageInterval, ledger } = options;
  let agedAt = Number.NEGATIVE_INFINITY;
  let prunedAt = clock.now();
  let failing = false;
  while (!signal.aborted) {
    try {
      const looksAtAge = clock.now() - agedAt >= ageInterval;
      if (looksAtAge) agedAt = clock.now();
      await turn(options, looksAtAge);
      if (clock.now() - prunedAt >= pruneInterval) {
        prunedAt = clock.now();
        await ledger.prune();
      }
      failing = false;
    } catch (e) {
      if (!failing) log.warn('the rotation of the root stands still', { error: describeError(e) });
      failing = true;
    }
    await sleep(clock, interval, signal);
  }
}

async function turn(options: RotationOptions, looksAtAge: boolean): Promise<void> {
  const { ca, ledger, source, namespace, mesh, clock, log, waiting } = options;
  await ca.refresh();
  const { content, version } = ca.stored();
  const { issuer, roots } = ca.current();
  const map = await source.get(configMapKind, { namespace, name });
  const wish: Wish = { rotate: map?.data?.['rotate'], abort: map?.data?.['abort'] };
  const rotates = content.next !== undefined || content.previous !== undefined;
  const life = issuer.notAfter - issuer.certificate.notBefore.getTime();
  const step = nextStep({
    content,
    ids: {
      current: issuer.root.id,
      next: rootsIn(content.next?.certificate ?? '')[0]?.id,
      previous: rootsIn(content.previous ?? '')[0]?.id,
    },
    wish,
    ages: looksAtAge && issuer.notAfter - clock.wall() < life * options.grace,
    holdings: rotates ? await ledger.read() : [],
    view: { ...mesh(), now: clock.wall() },
    defaultTtl: options.defaultTtl,
  });
  waiting(step.kind === 'wait' ? step.missing.length : 0);
  const next = await contentAfter(step, content, options);
  if (next !== undefined) {
    // Another one that led until now may have been quicker.
    if (!(await options.vault.replace(next, version))) return;
    log.info(`root rotation: ${told(step)}`, { signs: issuer.root.id, trusted: roots.map((r) => r.id).join() });
    await ca.refresh();
  }
  await tell(options, map, describe(step, ca, next ?? content));
}

async function contentAfter(
  step: Step,
  content: VaultContent,
  { clock, mesh, rootTtl }: RotationOptions,
): Promise<VaultContent | undefined> {
  const { current, next, request } = content;
  switch (step.kind) {
    case 'rest':
    case 'wait':
      return undefined;
    case 'begin':
      return {
        current,
        next: await makeRoot(mesh().trustDomain, clock, rootTtl),
        since: clock.wall(),
        request: step.request,
      };
    case 'sign':
      return next && { current: next, previous: current.certificate, since: clock.wall(), request };
    case 'drop':
    case 'abandon':
      return { current, request };
    default:
      return assertNever(step);
  }
}

function told(step: Step): string {
  switch (step.kind) {
    case 'begin':
      return `a new root is given out beside the old one, since ${step.why}`;
    case 'sign':
      return 'every proxy trusts the new root, which signs from now on';
    case 'drop':
      return 'nothing of the old root is in use, it is trusted no more';
    case 'abandon':
      return 'taken back, the new root is trusted no more';
    case 'rest':
    case 'wait':
      return step.kind;
    default:
      return assertNever(step);
  }
}

/** For people, in one line each. */
function describe(step: Step, ca: SelfSignedCa, { request }: VaultContent): Record<string, string> {
  const { issuer, roots } = ca.current();
  const lines = {
    signs: issuer.root.id,
    trusted: roots.map((r) => r.id).join(' '),
    ...(request !== undefined && { request }),
  };
  if (step.kind !== 'wait') return { ...lines, phase: step.kind === 'rest' ? 'none' : step.kind, waiting: '' };
  const { missing, until } = step;
  const some = missing.slice(0, named).map((m) => `${m.pod} ${m.identity}: ${m.why}`);
  const rest = missing.length > named ? [`and ${missing.length - named} more`] : [];
  const waiting = [
    ...(missing.length > 0 ? [`${missing.length} certificates`] : []),
    ...some,
    ...rest,
    `not before ${new Date(until).toISOString()}`,
  ].join('\n');
  return { ...lines, phase: step.phase, waiting };
}

/** Nothing is told before somebody asked or a rotation began. */
async function tell(
  { source, namespace }: RotationOptions,
  map: ConfigMap | undefined,
  lines: Record<string, string>,
): Promise<void> {
  if (map === undefined && lines['phase'] === 'none') return;
  const data = Object.fromEntries(Object.entries(lines).map(([k, v]) => [`status.${k}`, v]));
  if (Object.entries(data).every(([k, v]) => map?.data?.[k] === v)) return;
  if (map !== undefined) {
    await source.patch(configMapKind, { namespace, name }, { data });
    return;
  }
  await source
    .create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data })
    .catch((e: unknown) => {
      if (!(e instanceof MeshError && e.code === 'CONFLICT')) throw e;
    });
}
