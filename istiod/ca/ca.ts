/** The CA put together: what signs, and what follows from a change of the roots. */
import type { Registry } from 'prom-client';
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { gaugeOf } from '../../common/telemetry/program.ts';
import type { Leadership } from '../leader/leader.ts';
import type { Issued } from './certificate-service.ts';
import type { CaSettings } from './config.ts';
import { type NamespacePublisher, publishedRoots, publishInNamespaces, rootsMap } from './publish/namespaces.ts';
import { createFileVault } from './roots/file-vault.ts';
import { openRoot } from './roots/open-root.ts';
import { createSecretVault } from './roots/secret-vault.ts';
import { followVault } from './roots/self-signed-ca.ts';
import { type Ledger, openLedger } from './rotation/ledger.ts';
import { type RotationOptions, runRotation } from './rotation/rotation.ts';
import { createLocalSigner } from './signers/local.ts';
import type { Signer } from './signers/signer.ts';
import { bundleOf } from './trust.ts';

export interface CaOptions {
  readonly settings: CaSettings;
  /** Where istiod runs. */
  readonly namespace: string;
  readonly trustDomain: string;
  readonly source: KubeSource;
  readonly leadership: Leadership;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface Ca {
  readonly signer: Signer;
  /** To be told of every certificate that goes out. */
  issued(issued: Issued): void;
  /** Once pods are known: what waits for proxies begins. By `namespace/name`. */
  watch(pods: ReadonlyMap<string, Pod>): void;
}

/** Ms between two looks at requests for a rotation. */
const rotationInterval = millis(2_000);

/** MeshError CONFIG, API_UNAVAILABLE. */
export async function startCa(options: CaOptions): Promise<Ca> {
  const { settings, namespace, trustDomain, source, leadership, registry, clock, log, signal } = options;
  const vault =
    settings.vault.kind === 'folder' ? createFileVault(settings.vault.dir) : createSecretVault(source, namespace);
  const published = () => publishedRoots(source, namespace);
  const opened = await openRoot({ vault, trustDomain, lifetime: settings.rootTtl, clock, log, published });
  const longestBlindness = settings.defaultCertTtl / 2;
  const ca = followVault({ vault, opened, longestBlindness, clock, log, signal });
  const signer = createLocalSigner(ca, clock);
  publishRoots(options, signer);
  const ledger = openLedger({ source, namespace, clock, log, signal });
  let waiting = 0;
  const help = 'Certificates that a rotation of the root waits for.';
  gaugeOf(registry, 'aquifer_ca_rotation_waiting', help, () => waiting);
  return {
    signer,
    issued: (issued) => record(ledger, issued, clock),
    watch(pods) {
      const { trustedNodeAccounts: trustedAccounts, rootSettle: settle } = settings;
      const rotation: RotationOptions = {
        vault,
        ca,
        ledger,
        source,
        namespace,
        mesh: () => ({ pods, trustedAccounts, trustDomain, settle }),
        defaultTtl: settings.defaultCertTtl,
        rootTtl: settings.rootTtl,
        grace: settings.rootGrace,
        ageInterval: settings.rootCheckInterval,
        interval: rotationInterval,
        clock,
        log,
        waiting(certificates) {
          waiting = certificates;
        },
      };
      leadership.whileLeading((term) => void runRotation(rotation, term));
    },
  };
}

function publishRoots({ source, leadership, clock, log }: CaOptions, signer: Signer): void {
  const texts = [{ ...rootsMap, text: () => bundleOf(signer.roots()) }];
  let publisher: NamespacePublisher | undefined;
  signer.onChange(() => publisher?.republish());
  leadership.whileLeading((signal) => {
    publisher = publishInNamespaces({ source, texts, clock, log, signal });
  });
}

function record(ledger: Ledger, { caller, identity, impersonated, leaf, signed }: Issued, clock: Clock): void {
  if (caller.pod === undefined) return;
  ledger.record({
    pod: `${caller.namespace}/${caller.pod.name}`,
    uid: caller.pod.uid,
    identity: formatSpiffe(identity),
    own: !impersonated,
    roots: signed.roots.map((r) => r.id),
    under: signed.under,
    issuedAt: clock.wall(),
    notAfter: leaf.validToDate.getTime(),
  });
}
