/** The CA put together: what signs, and what follows from a change of the roots. */
import type { Registry } from 'prom-client';
import type { Clock } from '../../common/core/clock.ts';
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { gaugeOf } from '../../common/telemetry/program.ts';
import type { Backend, BackendOptions } from './backends/backend.ts';
import { externalBackend } from './backends/external.ts';
import { pluggedBackend } from './backends/plugged.ts';
import { selfSignedBackend } from './backends/self-signed.ts';
import type { Issued } from './certificate-service.ts';
import { publishInNamespaces, revocationMap, rootsMap } from './publish/namespaces.ts';
import { publishTrustBundle } from './publish/trust-bundle.ts';
import type { Holding } from './rotation/holding.ts';
import { type Ledger, openLedger } from './rotation/ledger.ts';
import { withServingFiles } from './signers/serving-files.ts';
import type { Signer } from './signers/signer.ts';
import { bundleOf } from './trust.ts';

export type CaOptions = Omit<BackendOptions, 'ledger' | 'waiting'> & { readonly registry: Registry };

export interface Ca {
  readonly signer: Signer;
  /** To be told of every certificate that goes out. */
  issued(issued: Issued): void;
  /** That proxies hold, as all replicas recorded it. MeshError API_UNAVAILABLE. */
  certificates(): Promise<readonly Holding[]>;
  /** Once pods are known: what waits for proxies begins. By `namespace/name`. */
  watch(pods: ReadonlyMap<string, Pod>): void;
}

/** MeshError CONFIG, API_UNAVAILABLE. */
export async function startCa(options: CaOptions): Promise<Ca> {
  const { settings, trustDomain, clock } = options;
  const ledger = openLedger(options);
  let waiting = 0;
  const backend = await openBackend({
    ...options,
    ledger,
    waiting(certificates) {
      waiting = certificates;
    },
  });
  ledger.start();
  const help = 'Certificates that a change of the root waits for.';
  gaugeOf(options.registry, 'aquifer_ca_rotation_waiting', help, () => waiting);
  publishTexts(options, backend);
  const { trustedNodeAccounts: trustedAccounts, rootSettle: settle } = settings;
  return {
    signer: backend.signer,
    certificates: () => ledger.read(),
    issued: (issued) => record(ledger, issued, clock),
    watch: (pods) => backend.watch(() => ({ pods, trustedAccounts, trustDomain, settle })),
  };
}

async function openBackend(options: BackendOptions): Promise<Backend> {
  const { external, serving } = options.settings;
  const backend =
    external === undefined
      ? ((await pluggedBackend(options)) ?? (await selfSignedBackend(options)))
      : await externalBackend(external, options);
  if (serving === undefined) return backend;
  return { ...backend, signer: await withServingFiles(backend.signer, serving, options) };
}

function publishTexts({ source, leadership, clock, log }: CaOptions, { signer, revoked }: Backend): void {
  const texts = [
    { ...rootsMap, text: () => bundleOf(signer.roots()) },
    { ...revocationMap, text: revoked },
  ];
  let publish: readonly (() => void)[] = [];
  signer.onChange(() => {
    for (const again of publish) again();
  });
  leadership.whileLeading((signal) => {
    const { republish } = publishInNamespaces({ source, texts, clock, log, signal });
    const text = () => bundleOf(signer.roots());
    publish = [republish, publishTrustBundle({ source, text, clock, log, signal })];
  });
}

function record(ledger: Ledger, { caller, identity, impersonated, leaf, signed }: Issued, clock: Clock): void {
  const { pod, namespace, serviceAccount } = caller;
  ledger.record({
    ...(pod === undefined
      ? { pod: `${namespace}/${serviceAccount}`, uid: leaf.serialNumber, machine: true }
      : { pod: `${namespace}/${pod.name}`, uid: pod.uid }),
    identity: formatSpiffe(identity),
    own: !impersonated,
    roots: signed.roots.map((r) => r.id),
    under: signed.under,
    issuedAt: clock.wall(),
    notAfter: leaf.validToDate.getTime(),
  });
}
