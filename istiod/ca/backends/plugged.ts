/** A CA that an operator brings. */
import { millis } from '../../../common/core/brand.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { UnusableIssuer } from '../issuer.ts';
import { createPluggedCa } from '../plugged/plugged-ca.ts';
import { type PluggedPlace, parsePlugged, pluggedFolder, pluggedSecret } from '../plugged/read.ts';
import { publishedRoots } from '../publish/namespaces.ts';
import { createLocalSigner } from '../signers/local.ts';
import { hasRoot, rootsIn } from '../trust.ts';
import type { Backend, BackendOptions } from './backend.ts';

const interval = millis(2_000);

/** undefined: nothing is plugged in. MeshError CONFIG when what is cannot be used: another CA in its place would cut the mesh in two. */
export async function pluggedBackend(options: BackendOptions): Promise<Backend | undefined> {
  const { settings, namespace, source, ledger, clock, log, signal } = options;
  for (const place of [pluggedFolder(settings.pluggedDir), pluggedSecret(source, namespace)]) {
    const files = await place.read();
    if (files === undefined) continue;
    const first = { files, plugged: await explained(place, () => parsePlugged(files, clock.wall())) };
    const before = rootsIn((await publishedRoots(source, namespace)) ?? '');
    const { root } = first.plugged.issuer;
    log.info('a plugged-in CA signs', { place: place.where, root: root.id });
    if (before.length > 0 && !hasRoot(before, root.id))
      log.warn('the mesh did not trust this root yet: proxies refuse each other until all have new certificates', {
        trusted: before.map((r) => r.id).join(),
      });
    const ca = createPluggedCa({
      ...options,
      place,
      first,
      before,
      defaultTtl: settings.defaultCertTtl,
      interval,
      signal,
    });
    return {
      signer: createLocalSigner(ca, clock),
      revoked: () => ca.revoked(),
      watch: (mesh) => settings.reloadPlugged && ca.watch(mesh, () => ledger.read()),
    };
  }
  return undefined;
}

async function explained<T>(place: PluggedPlace, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (e) {
    if (!(e instanceof UnusableIssuer)) throw e;
    throw new MeshError('CONFIG', `${place.where} is no usable CA: ${e.message}`, { cause: e });
  }
}
