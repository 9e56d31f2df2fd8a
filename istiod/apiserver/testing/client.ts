/** A server on a free port with a folder of its own, and requests to it as the administrator. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { parseListenAddress } from '../../../common/config/listen-address.ts';
import { systemClock } from '../../../common/core/clock.ts';
import { LogLevels } from '../../../common/core/log.ts';
import { type ApiServer, startApiServer } from '../apiserver.ts';
import { defaultNetworks } from '../config.ts';
import type { PartMaker } from '../part.ts';

export interface Answer {
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Parsed; undefined when it is no JSON. */
  readonly json: Json;
}

// biome-ignore lint/suspicious/noExplicitAny: tests read answers of every shape
export type Json = any;

export interface Ask {
  readonly method?: string;
  readonly body?: unknown;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Kubeconfig {
  readonly server: string;
  readonly ca: string;
  readonly token: string;
}

export async function readKubeconfig(path: string): Promise<Kubeconfig> {
  const config = parse(await readFile(path, 'utf8')) as Json;
  const { server, 'certificate-authority-data': ca } = config.clusters[0].cluster;
  return { server, ca: Buffer.from(ca, 'base64').toString(), token: config.users[0].user.token };
}

export class TestClient {
  readonly config: Kubeconfig;
  readonly #agent: Agent;

  constructor(config: Kubeconfig) {
    this.config = config;
    this.#agent = new Agent({ ca: config.ca, keepAlive: true });
  }

  /** Objects are sent as JSON, text and bytes as they are. */
  async ask(
    path: string,
    { method = 'GET', body, type = 'application/json', headers = {} }: Ask = {},
  ): Promise<Answer> {
    const response = await this.open(path, { method, body, type, headers });
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    return { code: response.statusCode ?? 0, headers: response.headers, body: bytes, json: tryParse(bytes) };
  }

  /** Resolves with the head. */
  open(
    path: string,
    { method = 'GET', body, type = 'application/json', headers = {} }: Ask = {},
  ): Promise<IncomingMessage> {
    const bytes =
      body === undefined || Buffer.isBuffer(body)
        ? body
        : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    return new Promise((resolve, reject) => {
      const sent = request(
        new URL(path, this.config.server),
        {
          method,
          agent: this.#agent,
          headers: {
            authorization: `Bearer ${this.config.token}`,
            ...(bytes === undefined ? {} : { 'content-type': type, 'content-length': String(bytes.length) }),
            ...headers,
          },
        },
        resolve,
      );
      sent.on('error', reject);
      sent.end(bytes);
    });
  }

  /** Events of a watch, until the caller breaks off or the server ends it. */
  async *watch(path: string): AsyncGenerator<Json> {
    const response = await this.open(path);
    let text = '';
    try {
      for await (const chunk of response) {
        text += String(chunk);
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) yield JSON.parse(line);
      }
    } finally {
      response.destroy();
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}

function tryParse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

export interface TestServer extends AsyncDisposable {
  readonly client: TestClient;
  readonly server: ApiServer;
  readonly dataDir: string;
}

/** `dataDir`: of an earlier server, which was stopped; it stays. `parts`: beside the server's own. */
export async function startTestServer(dataDir?: string, parts: readonly PartMaker[] = []): Promise<TestServer> {
  const dir = dataDir ?? (await mkdtemp(join(tmpdir(), 'aquifer-api-')));
  const server = await startApiServer(
    { dataDir: dir, listen: [parseListenAddress('127.0.0.1:0')!], networks: defaultNetworks },
    { clock: systemClock, sink: { levels: new LogLevels('off'), format: 'plain', write: () => undefined }, parts },
  );
  const client = new TestClient(await readKubeconfig(server.kubeconfig));
  return {
    client,
    server,
    dataDir: dir,
    async [Symbol.asyncDispose]() {
      client.close();
      await server.stop();
      if (dataDir === undefined) await rm(dir, { recursive: true });
    },
  };
}
