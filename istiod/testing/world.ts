/** istiod in the test's own process, on an API server of its own, with a token issuer and a plain xDS client. Only for tests. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials as grpcCredentials,
  Metadata,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import {
  addressTypeUrl,
  authorizationTypeUrl,
  certificateService,
  decodeAddress,
  decodeAuthorization,
  deltaAdsService,
  type Encodable,
  type PbDeltaRequest,
  type PbDeltaResponse,
  structFromJson,
} from '../../common/api/index.ts';
import { type ListenAddress, parseListenAddress } from '../../common/config/listen-address.ts';
import { systemClock } from '../../common/core/clock.ts';
import { LogLevels, silentLogger } from '../../common/core/log.ts';
import { createCsr } from '../../common/identity/csr.ts';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { podKind } from '../../common/kube/kinds/core.ts';
import { parseDocuments } from '../../common/kube/manifests/documents.ts';
import { formatProblem, type Problem } from '../../common/kube/manifests/problem.ts';
import type { NewObject } from '../../common/kube/types.ts';
import type { AuthorizationPolicy, MeshAddress } from '../../common/mesh/types.ts';
import { until } from '../../common/testing/until.ts';
import type { TestClient } from '../apiserver/testing/client.ts';
import { type IstiodConfig, parseConfig } from '../config.ts';
import { installDefinitions } from '../crds/install.ts';
import { type Istiod, startIstiod } from '../istiod.ts';
import { openTestApi } from './api-server.ts';
import { observe } from './observed-source.ts';

export const issuer = 'https://issuer.test';
const loopback = '127.0.0.1:0';

export interface PodSpec {
  readonly name: string;
  readonly namespace?: string;
  readonly serviceAccount?: string;
  readonly node?: string;
  readonly ip?: string;
  readonly phase?: 'Running' | 'Failed';
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface TokenOptions {
  readonly namespace?: string;
  readonly serviceAccount?: string;
  readonly pod?: { readonly name: string; readonly uid: string } | undefined;
  readonly audience?: string;
  readonly issuer?: string;
  /** Seconds from now. */
  readonly expiresIn?: number;
  readonly key?: CryptoKey;
  readonly subject?: string;
}

export interface World {
  /** For the test's own files. */
  readonly dir: string;
  readonly source: KubeClient;
  /** The API server, as its administrator. */
  readonly api: TestClient;
  readonly istiod: Istiod;
  readonly lines: readonly string[];
  /** What istiod is told to be wrong with its manifests. */
  problems: readonly Problem[];
  /** Applies what the text has, as the new content of that file; istiod has read it then. */
  put(file: string, text: string): Promise<void>;
  /** Deletes what the file had. */
  remove(file: string): Promise<void>;
  /** Makes the pod with its status, which istiod has read then; returns its uid. */
  pod(spec: PodSpec): Promise<string>;
  token(options?: TokenOptions): Promise<string>;
  restart(): Promise<void>;
  tls(): ChannelCredentials;
  onEnd(end: () => void): void;
}

/** Starts the world, runs `body`, and ends everything that it opened. */
export async function withWorld(body: (w: World) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'aq-istiod-'));
  const server = await openTestApi();
  // Tests count what they make themselves.
  await server.client.ask('/api/v1/namespaces/default/services/kubernetes', { method: 'DELETE' });
  const source = createKubeClient({ access: loadKubeconfig(server.kubeconfig) });
  await installDefinitions(source, systemClock, silentLogger);
  const observed = observe(source);
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwksFile = join(dir, 'jwks.json');
  await writeFile(jwksFile, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] }));
  const config = configOf({
    KUBECONFIG: server.kubeconfig,
    AQUIFER_DATA_DIR: join(dir, 'data'),
    AQUIFER_JWKS: jwksFile,
    AQUIFER_TOKEN_ISSUER: issuer,
  });
  const lines: string[] = [];
  const sink = { levels: new LogLevels('debug'), format: 'plain' as const, write: (l: string) => void lines.push(l) };
  const ends: (() => void)[] = [];
  const start = (at: IstiodConfig) =>
    startIstiod(at, {
      clock: systemClock,
      sink,
      source: observed,
      problems: () => world.problems,
      apply: (object, how) => source.apply(object, how),
      document: (path) => source.document(path),
    });
  const files = new Map<string, readonly NewObject[]>();
  let istiod: Istiod;
  const world: World = {
    dir,
    problems: [],
    source,
    api: server.client,
    lines,
    get istiod() {
      return istiod;
    },
    async put(file, text) {
      const { objects, problems } = parseDocuments(file, text);
      if (problems.length > 0) throw new Error(problems.map(formatProblem).join('\n'));
      files.set(
        file,
        objects.map((o) => o.object),
      );
      for (const { object } of objects) {
        await observed.read(await source.apply(object, { fieldManager: 'test', force: true }));
      }
    },
    async remove(file) {
      for (const object of files.get(file) ?? []) await source.remove(object);
    },
    async pod(spec) {
      const { name, namespace = 'default', serviceAccount = 'default', node = 'node-1' } = spec;
      const made = await source.create(podKind, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace, annotations: spec.annotations ?? {}, labels: spec.labels ?? {} },
        spec: { serviceAccountName: serviceAccount, nodeName: node, containers: [{ name: 'c', image: 'none' }] },
      });
      const phase = spec.phase ?? 'Running';
      const address = spec.ip === undefined ? {} : { podIP: spec.ip, podIPs: [{ ip: spec.ip }] };
      const conditions = [{ type: 'Ready', status: 'True' }];
      const status = { phase, conditions, ...address };
      await observed.read(await source.patch(podKind, { namespace, name }, { status }, { subresource: 'status' }));
      return made.metadata.uid;
    },
    async token(o = {}) {
      const { namespace = 'istio-system', serviceAccount = 'ztunnel' } = o;
      const pod = 'pod' in o ? o.pod : { name: 'zt', uid: randomUUID() };
      return new SignJWT({
        'kubernetes.io': { namespace, serviceaccount: { name: serviceAccount, uid: 'x' }, ...(pod && { pod }) },
      })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setIssuer(o.issuer ?? issuer)
        .setAudience(o.audience ?? 'istio-ca')
        .setSubject(o.subject ?? `system:serviceaccount:${namespace}:${serviceAccount}`)
        .setExpirationTime(Math.floor(Date.now() / 1000) + (o.expiresIn ?? 600))
        .sign(o.key ?? privateKey);
    },
    async restart() {
      const { grpc, secureGrpc } = istiod.ports;
      await istiod.stop();
      istiod = await start({ ...config, grpc: at(grpc), secureGrpc: at(secureGrpc) });
    },
    tls: () => grpcCredentials.createSsl(Buffer.from(istiod.rootCertificate)),
    onEnd: (end) => void ends.push(end),
  };
  istiod = await start(config);
  try {
    await body(world);
  } finally {
    for (const end of ends) end();
    await istiod.stop();
    source.close();
    await server[Symbol.asyncDispose]();
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

function at(port: number | undefined): ListenAddress | undefined {
  return port === undefined ? undefined : parseListenAddress(`127.0.0.1:${port}`);
}

export function configOf(env: Readonly<Record<string, string>>, more: readonly string[] = []): IstiodConfig {
  const flags = ['grpcAddr', 'secureGRPCAddr', 'monitoringAddr', 'httpAddr', 'httpsAddr', 'consoleAddr'].flatMap(
    (f) => [`--${f}`, loopback],
  );
  const parsed = parseConfig(['discovery', ...flags, ...more], env);
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed));
  return parsed.config;
}

/** What the client has of the mesh; ACKs by itself unless told to refuse. */
export class XdsClient {
  readonly addresses = new Map<string, MeshAddress>();
  readonly policies = new Map<string, AuthorizationPolicy>();
  readonly versions = {
    [addressTypeUrl]: new Map<string, string>(),
    [authorizationTypeUrl]: new Map<string, string>(),
  };
  readonly responses: PbDeltaResponse[] = [];
  status: StatusObject | undefined;
  /** Refuses responses that it holds for. */
  refuse: (r: PbDeltaResponse) => string | undefined = () => undefined;
  readonly stream: ClientDuplexStream<Encodable<PbDeltaRequest>, PbDeltaResponse>;
  readonly #client: Client;

  constructor(
    w: Pick<World, 'onEnd'>,
    port: number | undefined,
    credentials: ChannelCredentials,
    metadata = new Metadata(),
  ) {
    this.#client = new Client(`localhost:${port}`, credentials, { 'grpc.use_local_subchannel_pool': 1 });
    const { DeltaAggregatedResources: m } = deltaAdsService;
    this.stream = this.#client.makeBidiStreamRequest(m.path, m.requestSerialize, m.responseDeserialize, metadata);
    this.stream.on('error', () => undefined);
    this.stream.on('status', (s: StatusObject) => {
      this.status = s;
    });
    this.stream.on('data', (r: PbDeltaResponse) => this.#onResponse(r));
    w.onEnd(() => this.close());
  }

  /** Subscribes to everything of both types, as ztunnel does. */
  subscribe(node: Readonly<Record<string, string>> = {}, versions: Partial<XdsClient['versions']> = {}): this {
    const metadata = structFromJson({ NAMESPACE: 'istio-system', NODE_NAME: 'node-1', ...node });
    const id = 'ztunnel~10.0.0.1~zt.istio-system~istio-system.svc.cluster.local';
    for (const typeUrl of [addressTypeUrl, authorizationTypeUrl] as const) {
      const initialResourceVersions = Object.fromEntries(versions[typeUrl] ?? []);
      this.stream.write({ node: { id, metadata }, typeUrl, initialResourceVersions });
    }
    return this;
  }

  async firstAnswers(): Promise<this> {
    await until('first answers', () => new Set(this.responses.map((r) => r.typeUrl)).size === 2);
    return this;
  }

  close(): void {
    this.stream.cancel();
    this.#client.close();
  }

  #onResponse(r: PbDeltaResponse): void {
    this.responses.push(r);
    const message = this.refuse(r);
    const isAddress = r.typeUrl === addressTypeUrl;
    const versions = isAddress ? this.versions[addressTypeUrl] : this.versions[authorizationTypeUrl];
    for (const { name, version, resource } of message === undefined ? r.resources : []) {
      const decoded = (isAddress ? decodeAddress : decodeAuthorization)(resource!.value);
      if (decoded.kind === 'rejected') throw new Error(decoded.reason);
      versions.set(name, version);
      if ('kind' in decoded.value) this.addresses.set(name, decoded.value);
      else this.policies.set(name, decoded.value);
    }
    for (const name of r.removedResources) {
      versions.delete(name);
      this.addresses.delete(name);
      this.policies.delete(name);
    }
    this.stream.write({
      typeUrl: r.typeUrl,
      responseNonce: r.nonce,
      ...(message === undefined ? {} : { errorDetail: { code: 0, message } }),
    });
  }
}

/** Resolves when istiod announces all these names. */
export async function announced(w: World, ...names: readonly string[]): Promise<void> {
  const c = new XdsClient(w, w.istiod.ports.grpc, grpcCredentials.createInsecure()).subscribe();
  await until(`${names.join()} to be announced`, () => names.every((name) => c.addresses.has(name)));
  c.close();
}

export function bearer(token: string, more: Readonly<Record<string, string>> = {}): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  for (const [k, v] of Object.entries(more)) metadata.set(k, v);
  return metadata;
}

export interface SignOptions {
  readonly metadata: Metadata;
  readonly impersonate?: string;
  readonly csr?: string;
  readonly seconds?: number;
  readonly credentials?: ChannelCredentials;
}

/** CreateCertificate; the chain, or the error that the caller gets. */
export async function sign(
  w: Pick<World, 'istiod' | 'tls' | 'onEnd'>,
  o: SignOptions,
): Promise<readonly string[] | ServiceError> {
  const client = new Client(`localhost:${w.istiod.ports.secureGrpc}`, o.credentials ?? w.tls(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  w.onEnd(() => client.close());
  const csr = o.csr ?? (await createCsr({ trustDomain: 'evil', namespace: 'from', serviceAccount: 'csr' })).csr;
  const metadata = o.impersonate === undefined ? null : structFromJson({ ImpersonatedIdentity: o.impersonate });
  const { CreateCertificate: m } = certificateService;
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      m.path,
      m.requestSerialize,
      m.responseDeserialize,
      { csr, validityDuration: o.seconds ?? 0, metadata },
      o.metadata,
      (error, response) => resolve(error ?? response?.certChain ?? []),
    );
  });
}
