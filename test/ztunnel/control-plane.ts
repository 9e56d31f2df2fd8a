/** What stands in for istiod: the scripted xDS server, and a CA that signs for whoever asks. */
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import {
  certificateService,
  type Encodable,
  type PbCertificateRequest,
  type PbCertificateResponse,
} from '../../common/api/index.ts';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { parseSpiffe } from '../../common/identity/spiffe.ts';
import { serviceKey } from '../../common/mesh/store.ts';
import type { AuthorizationPolicy, MeshAddress } from '../../common/mesh/types.ts';
import { revocationList } from '../../common/testing/fake-ca.ts';
import { addressResponse, FakeXds, type FakeXdsStream, policyResponse } from '../../common/testing/fake-xds.ts';
import { signWorkload, verifyCsr } from '../../istiod/ca/authority.ts';
import type { Issuer } from '../../istiod/ca/issuer.ts';
import { loadOrCreateRoot } from '../../istiod/ca/root-store.ts';
import { createServingCredentials } from '../../istiod/ca/serving-certificate.ts';
import { createLocalSigner, unchanging } from '../../istiod/ca/signers/local.ts';

export class ControlPlane {
  readonly folder: string;
  readonly #root: Issuer;
  /** The last leaf, PEM, by SPIFFE id. */
  readonly #issued: ReadonlyMap<string, string>;
  readonly #xds: FakeXds;
  readonly #ca: Server;
  readonly #caPort: number;
  readonly #stopped: AbortController;
  readonly #streams: FakeXdsStream[] = [];
  #nonce = 1;

  private constructor(
    folder: string,
    root: Issuer,
    issued: ReadonlyMap<string, string>,
    xds: FakeXds,
    ca: Server,
    caPort: number,
    stopped: AbortController,
  ) {
    this.folder = folder;
    this.#root = root;
    this.#issued = issued;
    this.#xds = xds;
    this.#ca = ca;
    this.#caPort = caPort;
    this.#stopped = stopped;
  }

  static async start(): Promise<ControlPlane> {
    const folder = mkdtempSync(join(tmpdir(), 'aq-ztunnel-'));
    // Workers are another user.
    chmodSync(folder, 0o755);
    const stopped = new AbortController();
    const root = await loadOrCreateRoot({
      dataDir: join(folder, 'ca'),
      trustDomain: 'cluster.local',
      clock: systemClock,
      log: silentLogger,
      published: undefined,
    });
    writeFileSync(join(folder, 'root.pem'), root.pem);
    writeFileSync(join(folder, 'token'), 'a token that nobody checks');
    const credentials = await createServingCredentials({
      signer: createLocalSigner(unchanging({ issuer: root, roots: [root.root] }), systemClock),
      namespace: 'istio-system',
      domain: 'cluster.local',
      services: () => ['istiod'],
      onServices: () => undefined,
      clock: systemClock,
      log: silentLogger,
      signal: stopped.signal,
    });
    const issued = new Map<string, string>();
    const sign = async (request: PbCertificateRequest): Promise<Encodable<PbCertificateResponse>> => {
      const id = request.metadata?.fields['ImpersonatedIdentity']?.stringValue ?? '';
      const key = await verifyCsr(request.csr);
      const leaf = await signWorkload(root, key, parseSpiffe(id)!, 3_600_000, systemClock);
      issued.set(id, leaf);
      return { certChain: [leaf, root.pem] };
    };
    const ca = new Server();
    ca.addService(certificateService, {
      CreateCertificate(
        call: ServerUnaryCall<PbCertificateRequest, Encodable<PbCertificateResponse>>,
        callback: sendUnaryData<Encodable<PbCertificateResponse>>,
      ) {
        sign(call.request).then((r) => callback(null, r), callback);
      },
    });
    const caPort = await new Promise<number>((resolve, reject) =>
      ca.bindAsync('127.0.0.1:0', credentials, (e, p) => (e ? reject(e) : resolve(p))),
    );
    return new ControlPlane(folder, root, issued, await FakeXds.start(), ca, caPort, stopped);
  }

  get env(): Record<string, string> {
    return {
      XDS_ADDRESS: this.#xds.address,
      CA_ADDRESS: `https://localhost:${this.#caPort}`,
      XDS_ROOT_CA: join(this.folder, 'root.pem'),
      CA_ROOT_CA: join(this.folder, 'root.pem'),
      AUTH_TOKEN: join(this.folder, 'token'),
    };
  }

  /** Waits for the next worker and tells it everything. */
  async tell(addresses: readonly MeshAddress[], policies: readonly AuthorizationPolicy[] = []): Promise<void> {
    const stream = await this.#xds.stream();
    this.#streams.push(stream);
    stream.send(addressResponse(`${this.#nonce++}`, addresses));
    stream.send(policyResponse(`${this.#nonce++}`, policies));
  }

  /** Answers what the newest worker asks for on demand, by all its names, until the control plane stops. Returns what was asked. */
  answerOnDemand(addresses: readonly MeshAddress[]): readonly string[] {
    const stream = this.#streams.at(-1)!;
    const asked: string[] = [];
    const answers = (name: string): readonly MeshAddress[] => {
      const found = addresses.find((a) =>
        a.kind === 'workload'
          ? a.uid === name || a.addresses.some((address) => `${a.network}/${address}` === name)
          : serviceKey(a) === name || a.addresses.some((v) => `${v.network}/${v.ip}` === name),
      );
      if (found?.kind !== 'service') return found ? [found] : [];
      return [found, ...addresses.filter((a) => a.kind === 'workload' && a.services.has(serviceKey(found)))];
    };
    const serve = async (): Promise<void> => {
      for (;;) {
        const { resourceNamesSubscribe: names } = await stream.next();
        if (this.#stopped.signal.aborted) return;
        for (const name of names.filter((n) => n !== '*')) {
          asked.push(name);
          const found = answers(name);
          const response = addressResponse(`${this.#nonce++}`, found, found.length === 0 ? [name] : []);
          const [first, ...rest] = response.resources!;
          stream.send({ ...response, resources: first ? [{ ...first, aliases: [name] }, ...rest] : [] });
        }
      }
    };
    // Ends with the wait for a request that never comes.
    serve().catch(() => undefined);
    return asked;
  }

  /** To every worker that is there. */
  push(addresses: readonly MeshAddress[], policies: readonly AuthorizationPolicy[]): void {
    for (const stream of this.#streams.filter((s) => !s.closed)) {
      if (addresses.length > 0) stream.send(addressResponse(`${this.#nonce++}`, addresses));
      if (policies.length > 0) stream.send(policyResponse(`${this.#nonce++}`, policies));
    }
  }

  /** Path of the revocation lists; the file is there once `revoke` was called. */
  get crlPath(): string {
    return join(this.folder, 'crl.pem');
  }

  /** Puts a list in place that revokes exactly the certificates of these service accounts. */
  async revoke(...serviceAccounts: readonly string[]): Promise<void> {
    const ids = serviceAccounts.map((sa) => `spiffe://cluster.local/ns/default/sa/${sa}`);
    const list = await revocationList(
      this.#root.certificate,
      this.#root.key,
      ids.map((id) => this.#issued.get(id)!),
    );
    writeFileSync(`${this.crlPath}.new`, list);
    renameSync(`${this.crlPath}.new`, this.crlPath);
  }

  stop(): void {
    this.#stopped.abort();
    this.#xds.kill();
    this.#ca.forceShutdown();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
