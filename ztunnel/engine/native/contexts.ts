/** What tunnels of a certificate are made by, made once for it: parsing key, chain and roots costs more than a handshake. */
import { MeshError } from '../../../common/core/errors.ts';
import { serverMaxStreams } from '../../../common/hbone/session.ts';
import type { WireSettings } from '../../../common/hbone/wire.ts';
import type { WorkloadCertificate } from '../../../common/identity/types.ts';
import type { EngineLoop } from '../../../native/engine.ts';

type Role = 'client' | 'server';

export class Contexts {
  readonly #loop: EngineLoop;
  readonly #kept = new WeakMap<WireSettings, Record<Role, WeakMap<WorkloadCertificate, number>>>();
  readonly #gone: FinalizationRegistry<number>;

  constructor(loop: EngineLoop) {
    this.#loop = loop;
    // A rotated certificate is another object; keys of the old one go with it.
    this.#gone = new FinalizationRegistry((context) => loop.removeContext(context));
  }

  /** MeshError TLS_FAILED when certificate, key or roots cannot be used. */
  get(role: Role, certificate: WorkloadCertificate, wire: WireSettings): number {
    let ofWire = this.#kept.get(wire);
    if (!ofWire) {
      ofWire = { client: new WeakMap(), server: new WeakMap() };
      this.#kept.set(wire, ofWire);
    }
    const known = ofWire[role].get(certificate);
    if (known !== undefined) return known;
    const made = this.#make(role, certificate, wire);
    ofWire[role].set(certificate, made);
    this.#gone.register(certificate, made);
    return made;
  }

  #make(role: Role, { chain, privateKey, roots }: WorkloadCertificate, { tls, windows }: WireSettings): number {
    const server = role === 'server';
    try {
      return this.#loop.addContext({
        server,
        chain: chain.join('\n'),
        key: privateKey,
        roots: roots.join('\n'),
        tls12: tls.oldest === 'TLSv1.2',
        pqc: tls.keyExchange === 'pqc',
        streamWindow: windows.stream,
        connectionWindow: windows.connection,
        maxFrame: windows.frame,
        maxHeaderList: (server ? 64 : 16) * 1024,
        maxStreams: serverMaxStreams,
      });
    } catch (cause) {
      throw new MeshError('TLS_FAILED', `the own certificate cannot be used: ${(cause as Error).message}`, { cause });
    }
  }
}
